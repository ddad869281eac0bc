use super::*;

fn of(facts: &[(&str, &str)]) -> Fingerprint {
    let facts = facts
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Fact::from(*value)));
    Fingerprint {
        schema_version: SCHEMA_VERSION,
        facts: facts.collect(),
    }
}

#[test]
fn every_fact_is_a_value_or_has_a_reason() {
    let fingerprint = Fingerprint::collect(&Err("not asked".into()));
    for (key, fact) in &fingerprint.facts {
        match fact {
            Fact::Value(value) => assert!(!value.is_empty() || key.starts_with("env."), "{key}"),
            Fact::Absent { absent } => assert!(!absent.is_empty(), "{key}"),
        }
    }
    for key in [
        "libtorch.version",
        "driver.version",
        "gpu.count",
        "cpu.model",
        "cgroup.memory_limit",
    ] {
        assert!(fingerprint.facts.contains_key(key), "{key}");
    }
}

#[test]
fn every_collected_key_is_known_to_the_policy() {
    for key in Fingerprint::collect(&Err("not asked".into())).facts.keys() {
        assert!(!rule(key).1.starts_with("unknown"), "{key}");
    }
}

#[test]
fn two_collections_in_one_process_do_not_differ() {
    let (first, second) = (
        Fingerprint::collect(&Err("not asked".into())),
        Fingerprint::collect(&Err("not asked".into())),
    );
    assert_eq!(first.differences(&second), []);
    assert_eq!(first.comparable(&second), Ok(()));
}

#[test]
fn a_changed_fact_is_named_and_classified() {
    let reference = of(&[
        ("driver.version", "580.1"),
        ("gpu.0.power.limit", "700000"),
        ("gpu.0.temperature", "40"),
    ]);
    let candidate = of(&[
        ("driver.version", "570.2"),
        ("gpu.0.power.limit", "650000"),
        ("gpu.0.temperature", "80"),
    ]);
    let changes = reference.differences(&candidate);
    let named: Vec<_> = changes
        .iter()
        .map(|it| (it.key.as_str(), it.can_change_bits))
        .collect();
    assert_eq!(
        named,
        [("driver.version", true), ("gpu.0.power.limit", false)]
    );
    let text = differences_text(&changes);
    assert!(text.ends_with(
        "not comparable, because driver.version differs: 580.1 in the reference, 570.2 in the candidate\n"
    ));
    assert!(text.contains("machine code"), "the reason is shown: {text}");
}

#[test]
fn stacks_that_differ_only_in_timing_are_comparable_and_the_text_says_so() {
    let changes = of(&[("os.kernel", "6.1")]).differences(&of(&[("os.kernel", "6.2")]));
    assert_eq!(changes.len(), 1);
    assert!(differences_text(&changes).contains("comparable: the one difference cannot"));
}

#[test]
fn an_unknown_key_can_change_bits() {
    let reference = of(&[]);
    let candidate = of(&[("quantum.entanglement", "on")]);
    let sentence = reference.comparable(&candidate).unwrap_err();
    assert!(sentence.contains("quantum.entanglement differs: not recorded in the reference, on"));
    assert!(
        reference
            .comparable(&of(&[("env.NOT_IN_THE_TABLE", "1")]))
            .is_err()
    );
}

#[test]
fn a_setting_in_force_is_compared() {
    let (mut reference, mut candidate) = (of(&[]), of(&[]));
    reference.with_settings([("cudnn.benchmark".into(), "off".into())].into_iter());
    candidate.with_settings([("cudnn.benchmark".into(), "on".into())].into_iter());
    assert!(
        reference
            .comparable(&candidate)
            .unwrap_err()
            .contains("knob.cudnn.benchmark")
    );
}

#[test]
fn redaction_leaves_no_uuid_serial_or_path_and_the_rest_comparable() {
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let full = of(&[
        ("gpu.0.uuid", &format!("GPU-{uuid}")),
        ("gpu.0.serial", "1650522003820"),
        ("gpu.0.bus_id", "00000000:1B:00.0"),
        ("gpu.0.name", "NVIDIA H200"),
        ("path.libtorch_cpu.so", "/home/me/torch/lib/libtorch_cpu.so"),
        ("env.LD_LIBRARY_PATH", "/home/me/lib:/opt/lib"),
        ("env.NVIDIA_VISIBLE_DEVICES", &format!("MIG-{uuid}")),
    ]);
    let redacted = full.redacted();
    let json = serde_json::to_string(&redacted).unwrap();
    for secret in [uuid, "1650522003820", "1B:00", "/home", "/opt"] {
        assert!(!json.contains(secret), "{secret} in {json}");
    }
    assert_eq!(redacted.value("gpu.0.name"), Some("NVIDIA H200"));
    assert_eq!(full.differences(&redacted), []);
}

#[test]
fn json_goes_both_ways_and_a_report_will_do_for_a_fingerprint() {
    let mut fingerprint = of(&[("libtorch.version", "2.11.0")]);
    fingerprint
        .facts
        .insert("gpu.count".into(), Fact::absent("no NVIDIA driver"));
    let json = serde_json::to_string(&fingerprint).unwrap();
    assert!(
        json.contains(r#""gpu.count":{"absent":"no NVIDIA driver"}"#),
        "{json}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.json");
    std::fs::write(&path, &json).unwrap();
    assert_eq!(Fingerprint::load(&path).unwrap(), fingerprint);
    std::fs::write(
        &path,
        format!(r#"{{"verdict":"identical","fingerprint":{json}}}"#),
    )
    .unwrap();
    assert_eq!(Fingerprint::load(&path).unwrap(), fingerprint);
    std::fs::write(
        &path,
        json.replace(r#""schema_version":1"#, r#""schema_version":99"#),
    )
    .unwrap();
    let error = Fingerprint::load(&path).unwrap_err().to_string();
    assert!(error.contains("schema 99"), "{error}");
}

#[test]
fn the_text_groups_by_section_and_shows_why_a_fact_is_absent() {
    let mut fingerprint = of(&[
        ("libtorch.version", "2.11.0"),
        ("cgroup.memory_limit", "536870912"),
    ]);
    fingerprint
        .facts
        .insert("gpu.count".into(), Fact::absent("no NVIDIA driver"));
    let text = text(&fingerprint);
    let expected = "libtorch\n  version  2.11.0\n\ngpu\n  count  - (no NVIDIA driver)\n\n\
                    cgroup\n  memory_limit  536870912 (512 MiB)\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("none of the variables"));
}

#[test]
fn a_driver_with_gpus_gives_facts_by_gpu_and_one_that_cannot_be_asked_a_reason() {
    let gpu = nvml::Gpu {
        bus_id: Ok("00000000:1B:00.0".into()),
        uuid: Err("Insufficient Permissions".into()),
        facts: vec![("name", Ok("NVIDIA H200".into()))],
        processes: vec![],
    };
    let driver = nvml::Driver {
        facts: vec![("version", Ok("580.1".into()))],
        gpus: vec![Ok(gpu), Err("GPU is lost".into())],
    };
    let facts = stack::driver(Ok(driver));
    assert_eq!(facts["driver.version"], Fact::from("580.1"));
    assert_eq!(facts["gpu.count"], Fact::from("2"));
    assert_eq!(facts["gpu.0.name"], Fact::from("NVIDIA H200"));
    assert_eq!(
        facts["gpu.0.uuid"],
        Fact::absent("Insufficient Permissions")
    );
    assert_eq!(facts["gpu.1.name"], Fact::absent("GPU is lost"));
}
