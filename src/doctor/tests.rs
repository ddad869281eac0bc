use super::*;
use crate::fingerprint::{Fact, SCHEMA_VERSION};

/// A stack with these facts; values that begin with `!` are reasons for an absent one.
fn stack(facts: &[(&str, &str)]) -> Fingerprint {
    let facts = facts.iter().map(|(key, value)| {
        let fact = match value.strip_prefix('!') {
            Some(reason) => Fact::absent(reason),
            None => Fact::from(*value),
        };
        ((*key).to_owned(), fact)
    });
    Fingerprint {
        schema_version: SCHEMA_VERSION,
        facts: facts.collect(),
    }
}

#[test]
fn everything_is_examined_and_says_what_it_saw() {
    let checks = examine(&Err("not asked".into()));
    assert!(checks.len() >= 13);
    assert!(checks.iter().all(|check| !check.detail.is_empty()));
    let cuda = checks.last().unwrap();
    assert_eq!((cuda.name.as_str(), cuda.status), ("CUDA", Status::Untried));
    let text = text(&checks);
    assert!(checks.iter().all(|check| text.contains(&check.name)));
}

#[test]
fn what_is_not_right_has_a_remedy_or_a_cause_named_elsewhere() {
    for check in examine(&Err("not asked".into())) {
        if matches!(check.status, Status::Broken | Status::Warning) {
            assert!(check.remedy.is_some(), "{check:?}");
        }
    }
}

#[test]
fn the_ways_in_which_containers_lose_their_gpu_are_recognised() {
    for (reason, remedy, status) in [
        ("!Unknown Error", "start it again", Status::Broken),
        ("!Insufficient Permissions", "label=disable", Status::Broken),
        (
            "!no NVIDIA driver: libnvidia-ml.so.1 not found",
            "utility",
            Status::Missing,
        ),
        (
            "!Driver/library version mismatch",
            "restart",
            Status::Broken,
        ),
        ("!something new", "nvidia-smi", Status::Broken),
    ] {
        let check = gpu::driver(&stack(&[("driver.version", reason)]));
        assert_eq!(check.status, status, "{reason}");
        assert!(check.remedy.unwrap().contains(remedy), "{reason}");
    }
}

#[test]
fn an_old_driver_and_another_cudnn_are_broken() {
    let old = stack(&[
        ("driver.cuda", "12040"),
        ("cudnn.compiled", "91900"),
        ("cudnn.running", "90100"),
    ]);
    let check = gpu::driver_is_new_enough(&old);
    assert_eq!(
        (check.status, check.detail.as_str()),
        (Status::Broken, "runs CUDA up to 12.4")
    );
    assert_eq!(gpu::cudnn(&old).status, Status::Broken);
    let new = stack(&[
        ("driver.cuda", "13000"),
        ("cudnn.compiled", "91900"),
        ("cudnn.running", "91900"),
    ]);
    assert_eq!(gpu::driver_is_new_enough(&new).status, Status::Ok);
    assert_eq!(gpu::cudnn(&new).status, Status::Ok);
}

#[test]
fn hidden_gpus_are_explained() {
    let all = &[
        ("cuda.devices", "2"),
        ("gpu.count", "2"),
        ("gpu.0.name", "A"),
        ("gpu.1.name", "B"),
    ];
    let check = gpu::count(&stack(all));
    assert_eq!(
        (check.status, check.detail.as_str()),
        (Status::Ok, "libtorch sees 2, NVML 2: A, B")
    );
    let hidden = &[
        ("cuda.devices", "1"),
        ("gpu.count", "2"),
        ("env.CUDA_VISIBLE_DEVICES", "1"),
    ];
    let check = gpu::count(&stack(hidden));
    assert_eq!(check.status, Status::Warning);
    assert!(check.detail.contains("CUDA_VISIBLE_DEVICES"));
    let lean = &[
        ("cuda.devices", "0"),
        ("gpu.count", "1"),
        ("cuda.library", "!absent"),
    ];
    assert!(gpu::count(&stack(lean)).remedy.unwrap().contains("--cuda"));
    assert_eq!(
        gpu::count(&stack(&[("gpu.count", "!no driver")])).status,
        Status::Missing
    );
}

#[test]
fn a_build_that_can_ask_only_one_side_does_not_call_the_gpus_broken() {
    let no_nvml = stack(&[
        ("cuda.devices", "2"),
        ("gpu.count", "!this build has no NVML"),
    ]);
    assert_eq!(gpu::count(&no_nvml).status, Status::Ok);
    let no_torch = stack(&[
        ("cuda.devices", "!this build has no libtorch"),
        ("gpu.count", "2"),
    ]);
    assert_eq!(gpu::count(&no_torch).status, Status::Ok);
}

#[test]
fn a_gpu_with_memory_errors_is_suspected() {
    let facts = &[
        ("gpu.count", "2"),
        ("gpu.0.ecc.volatile.uncorrected", "3"),
        ("gpu.1.ecc.volatile.uncorrected", "0"),
    ];
    let checks = gpu::health(&stack(facts));
    assert_eq!(checks[0].status, Status::Warning);
    assert!(checks[0].detail.contains("not corrected"));
    assert_eq!(checks[1].status, Status::Ok);
}

#[test]
fn more_threads_than_the_control_group_allows_are_noticed() {
    let tight = &[
        ("threads.intraop", "8"),
        ("cpu.usable", "8"),
        ("cgroup.cpu_limit", "1.5"),
    ];
    let check = host::threads(&stack(tight));
    assert_eq!(check.status, Status::Warning);
    assert!(check.remedy.unwrap().contains("2 would fit"));
    let roomy = &[
        ("threads.intraop", "8"),
        ("cpu.usable", "8"),
        ("cgroup.cpu_limit", "!no limit"),
    ];
    assert_eq!(host::threads(&stack(roomy)).status, Status::Ok);
}

#[test]
fn variables_that_change_bits_unseen_are_named_with_what_they_do() {
    let check = host::environment(&stack(&[
        ("env.NVIDIA_TF32_OVERRIDE", "1"),
        ("env.TMPDIR", "/x"),
    ]));
    assert_eq!(check.status, Status::Warning);
    assert!(check.detail.contains("NVIDIA_TF32_OVERRIDE=1: "));
    assert!(!check.detail.contains("TMPDIR"));
    let safe = stack(&[
        ("env.OMP_DYNAMIC", "FALSE"),
        ("env.PYTORCH_TUNABLEOP_ENABLED", "0"),
    ]);
    assert_eq!(host::environment(&safe).status, Status::Ok);
    assert_eq!(host::environment(&stack(&[])).status, Status::Ok);
}

#[test]
fn a_capability_that_was_asked_for_and_not_given_is_broken() {
    let given = &[
        ("cpu.capability", "AVX2"),
        ("env.ATEN_CPU_CAPABILITY", "avx512"),
    ];
    assert_eq!(host::capability(&stack(given)).status, Status::Broken);
    let given = &[
        ("cpu.capability", "AVX2"),
        ("env.ATEN_CPU_CAPABILITY", "avx2"),
    ];
    assert_eq!(host::capability(&stack(given)).status, Status::Ok);
}

#[test]
fn two_openmp_runtimes_are_noticed() {
    let two = &[("path.libgomp.so", "/a/libgomp.so.1 /b/libgomp.so.1")];
    assert_eq!(host::openmp(&stack(two)).status, Status::Warning);
    assert_eq!(
        host::openmp(&stack(&[("path.libgomp.so", "/a/libgomp.so.1")])).status,
        Status::Ok
    );
}

#[test]
fn a_libtorch_of_another_version_is_broken() {
    assert_eq!(
        libtorch(&stack(&[("libtorch.version", "2.10.0")])).status,
        Status::Broken
    );
    assert_eq!(
        libtorch(&stack(&[("libtorch.version", "2.11.0")])).status,
        Status::Ok
    );
    assert_eq!(
        libtorch(&stack(&[("libtorch.version", "!none")])).status,
        Status::Missing
    );
}

#[test]
fn a_temporary_folder_that_does_not_exist_is_broken_and_a_compiler_is_looked_for_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    assert_eq!(host::temporary_folder(&gone).status, Status::Broken);
    let path = Some(folder.path().as_os_str().to_owned());
    assert_eq!(host::compiler(None, path.clone()).status, Status::Missing);
    std::fs::write(folder.path().join("g++"), "").unwrap();
    assert_eq!(host::compiler(None, path).status, Status::Ok);
}
