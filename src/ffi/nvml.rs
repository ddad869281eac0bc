//! What the NVIDIA driver says about itself and its GPUs, as plain words, through NVML. The only file that names
//! `nvml_wrapper`. Every answer may be absent, with the reason; nothing here fails and nothing changes a setting.
//!
//! NVML numbers GPUs in another order than CUDA does, that order may change at a reboot, and NVML ignores
//! `CUDA_VISIBLE_DEVICES`. GPUs are therefore sorted and joined by PCI bus id. Source: nvml-wrapper 0.13, `device.rs`.

use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, RetirementCause, TemperatureSensor,
};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper::{Device, Nvml};

/// A value in words, or the reason why there is none.
pub type Answer = std::result::Result<String, String>;

/// Answers by name, in a fixed order.
pub type Answers = Vec<(&'static str, Answer)>;

/// The driver and its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// `version`, `cuda` (the newest CUDA it can run, as in `13000`) and `nvml`.
    pub facts: Answers,
    /// GPUs sorted by PCI bus id; `Err` holds the reason why one cannot be asked.
    pub gpus: Vec<std::result::Result<Gpu, String>>,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Address on the PCI bus, the key by which other sources know this GPU.
    pub bus_id: Answer,
    /// The GPU's own number, the key that survives a move to another slot.
    pub uuid: Answer,
    /// What is known about it.
    pub facts: Answers,
    /// Process ids of programs that compute on it now; empty when nobody may ask.
    pub processes: Vec<u32>,
}

/// Asks the driver. It is loaded for the call and let go afterwards.
///
/// # Errors
/// With one reason that holds for everything: no driver, a container without access to it, and so on.
pub fn driver() -> std::result::Result<Driver, String> {
    let nvml = Nvml::init().map_err(|error| reason(&error))?;
    let count = nvml.device_count().map_err(|error| reason(&error))?;
    let mut gpus: Vec<_> = (0..count)
        .map(|index| match nvml.device_by_index(index) {
            Ok(device) => Ok(gpu(&device)),
            Err(error) => Err(reason(&error)),
        })
        .collect();
    gpus.sort_by_key(|gpu| match gpu {
        Ok(gpu) => (false, gpu.bus_id.clone().unwrap_or_default()),
        Err(reason) => (true, reason.clone()),
    });
    let facts = vec![
        ("version", answer(nvml.sys_driver_version())),
        ("cuda", answer(nvml.sys_cuda_driver_version())),
        ("nvml", answer(nvml.sys_nvml_version())),
    ];
    Ok(Driver { facts, gpus })
}

fn gpu(device: &Device) -> Gpu {
    let mut facts = kind(device);
    facts.extend(modes(device));
    facts.extend(firmware(device));
    facts.extend(health(device));
    facts.extend(speed(device));
    facts.extend(links(device));
    facts.extend(state(device));
    Gpu {
        bus_id: answer(device.pci_info().map(|pci| pci.bus_id)),
        uuid: answer(device.uuid()),
        facts,
        processes: processes(device).unwrap_or_default(),
    }
}

/// What kind of GPU it is, and which one. Memory in bytes, bus width in bits.
#[rustfmt::skip]
fn kind(device: &Device) -> Answers {
    let capability = device.cuda_compute_capability();
    vec![
        ("name", answer(device.name())),
        ("architecture", answer(device.architecture())),
        ("compute_capability", answer(capability.map(|it| format!("{}.{}", it.major, it.minor)))),
        ("cuda_cores", answer(device.num_cores())),
        ("memory.total", answer(device.memory_info().map(|it| it.total))),
        ("memory.bus_width", answer(device.memory_bus_width())),
        ("serial", answer(device.serial())),
        ("part_number", answer(device.board_part_number())),
        ("board_id", answer(device.board_id())),
    ]
}

/// Modes an administrator sets.
#[rustfmt::skip]
fn modes(device: &Device) -> Answers {
    let (ecc, pending) = (device.is_ecc_enabled(), device.is_ecc_enabled());
    let (mig, mig_pending) = (device.mig_mode(), device.mig_mode());
    vec![
        ("ecc.enabled", answer(ecc.map(|it| it.currently_enabled))),
        ("ecc.pending", answer(pending.map(|it| it.pending_enabled))),
        ("mig.enabled", answer(mig.map(|it| it.current != 0))),
        ("mig.pending", answer(mig_pending.map(|it| it.pending != 0))),
        ("compute_mode", words(device.compute_mode())),
        ("persistence", answer(device.is_in_persistent_mode())),
        ("virtualization", words(device.virtualization_mode())),
        ("confidential", answer(device.is_cc_enabled())),
    ]
}

#[rustfmt::skip]
fn firmware(device: &Device) -> Answers {
    let gsp = device.gsp_firmware_mode();
    vec![
        ("firmware.vbios", answer(device.vbios_version())),
        ("firmware.inforom", answer(device.info_rom_image_version())),
        ("firmware.gsp", answer(device.gsp_firmware_version())),
        ("firmware.gsp_enabled", answer(gsp.map(|it| it.enabled))),
    ]
}

/// Counters that tell a faulty GPU from faulty software.
#[rustfmt::skip]
fn health(device: &Device) -> Answers {
    use EccCounter::{Aggregate, Volatile};
    use MemoryError::{Corrected, Uncorrected};
    let errors = |kind, counter| answer(device.total_ecc_errors(kind, counter));
    let retired = |cause| answer(device.retired_pages(cause).map(|pages| pages.len()));
    let mut facts = vec![
        ("ecc.volatile.corrected", errors(Corrected, Volatile)),
        ("ecc.volatile.uncorrected", errors(Uncorrected, Volatile)),
        ("ecc.aggregate.corrected", errors(Corrected, Aggregate)),
        ("ecc.aggregate.uncorrected", errors(Uncorrected, Aggregate)),
        ("retired_pages.single_bit", retired(RetirementCause::MultipleSingleBitEccErrors)),
        ("retired_pages.double_bit", retired(RetirementCause::DoubleBitEccError)),
        ("retired_pages.pending", answer(device.are_pages_pending_retired())),
    ];
    // Since Ampere, GPUs remap rows instead of retiring pages.
    let rows = [
        ("remapped_rows.corrected", field_id::NVML_FI_DEV_REMAPPED_COR),
        ("remapped_rows.uncorrected", field_id::NVML_FI_DEV_REMAPPED_UNC),
        ("remapped_rows.pending", field_id::NVML_FI_DEV_REMAPPED_PENDING),
        ("remapped_rows.failure", field_id::NVML_FI_DEV_REMAPPED_FAILURE),
    ];
    facts.extend(fields(device, &rows));
    facts
}

/// Limits of speed, and the speed now. Clocks in MHz, power in mW, temperature in °C.
#[rustfmt::skip]
fn speed(device: &Device) -> Answers {
    vec![
        ("clock.max.sm", answer(device.max_clock_info(Clock::SM))),
        ("clock.max.memory", answer(device.max_clock_info(Clock::Memory))),
        ("clock.application.graphics", answer(device.applications_clock(Clock::Graphics))),
        ("clock.application.memory", answer(device.applications_clock(Clock::Memory))),
        ("clock.offset.graphics", answer(device.gpc_clock_vf_offset())),
        ("clock.offset.memory", answer(device.mem_clock_vf_offset())),
        ("clock.now.sm", answer(device.clock_info(Clock::SM))),
        ("clock.now.memory", answer(device.clock_info(Clock::Memory))),
        ("performance_state", words(device.performance_state())),
        ("power.limit", answer(device.enforced_power_limit())),
        ("power.now", answer(device.power_usage())),
        ("temperature", answer(device.temperature(TemperatureSensor::Gpu))),
        ("throttled_by", answer(device.current_throttle_reasons().map(throttled_by))),
    ]
}

fn throttled_by(reasons: nvml_wrapper::bitmasks::device::ThrottleReasons) -> String {
    let names: Vec<_> = reasons
        .iter_names()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    if names.is_empty() {
        "nothing".into()
    } else {
        names.join(" ")
    }
}

fn links(device: &Device) -> Answers {
    let mut facts = vec![
        ("pcie.generation", answer(device.max_pcie_link_gen())),
        ("pcie.width", answer(device.max_pcie_link_width())),
        (
            "pcie.generation.now",
            answer(device.current_pcie_link_gen()),
        ),
        ("pcie.width.now", answer(device.current_pcie_link_width())),
        ("pcie.replays", answer(device.pcie_replay_counter())),
    ];
    let links = [("nvlink.count", field_id::NVML_FI_DEV_NVLINK_LINK_COUNT)];
    for (name, count) in fields(device, &links) {
        let active = count.clone().map(|count| {
            let is_active = |link: &u32| device.link_wrapper_for(*link).is_active();
            let all = 0..count.parse().unwrap_or(0);
            all.filter(|link| is_active(link).unwrap_or(false))
                .count()
                .to_string()
        });
        facts.push((name, count));
        facts.push(("nvlink.active", active));
    }
    facts
}

/// Who else is on the GPU. Memory in bytes.
fn state(device: &Device) -> Answers {
    let (used, reserved) = (device.memory_info(), device.memory_info());
    vec![
        ("memory.used", answer(used.map(|it| it.used))),
        ("memory.reserved", answer(reserved.map(|it| it.reserved))),
        (
            "processes",
            processes(device).map(|pids| pids.len().to_string()),
        ),
    ]
}

fn processes(device: &Device) -> std::result::Result<Vec<u32>, String> {
    let running = device.running_compute_processes();
    let running = running.map_err(|error| reason(&error))?;
    let mut pids: Vec<u32> = running.iter().map(|process| process.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Facts that have a number in NVML's table of fields but no function.
fn fields(device: &Device, wanted: &[(&'static str, u32)]) -> Answers {
    let ids: Vec<_> = wanted.iter().map(|(_, id)| FieldId(*id)).collect();
    let names = wanted.iter().map(|(name, _)| *name);
    match device.field_values_for(&ids) {
        Ok(samples) => names
            .zip(samples)
            .map(|(name, sample)| (name, answer(sample.and_then(|it| it.value).map(number))))
            .collect(),
        Err(error) => names.map(|name| (name, Err(reason(&error)))).collect(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used in map")]
fn number(value: nvml_wrapper::enums::device::SampleValue) -> String {
    use nvml_wrapper::enums::device::SampleValue::{F64, I64, U32, U64};
    match value {
        F64(value) => value.to_string(),
        U32(value) => value.to_string(),
        U64(value) => value.to_string(),
        I64(value) => value.to_string(),
    }
}

fn answer<T: ToString>(result: std::result::Result<T, NvmlError>) -> Answer {
    result
        .map(|value| value.to_string().trim().to_owned())
        .map_err(|error| reason(&error))
}

/// For NVML's enums, which have no words of their own.
fn words<T: std::fmt::Debug>(result: std::result::Result<T, NvmlError>) -> Answer {
    answer(result.map(|value| format!("{value:?}").to_lowercase()))
}

/// Why, in the words of `nvidia-smi` where it has some: people search for those. Never a path or an address, so that
/// two collections agree.
fn reason(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(error)
            if error.to_string().contains("cannot open shared object") =>
        {
            "no NVIDIA driver: libnvidia-ml.so.1 not found"
        }
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "libnvidia-ml.so.1 is there but cannot be loaded"
        }
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            "this driver does not know the question"
        }
        NvmlError::DriverNotLoaded => "Driver Not Loaded",
        NvmlError::NotSupported => "not supported here",
        NvmlError::NoPermission => "Insufficient Permissions",
        NvmlError::LibRmVersionMismatch => "Driver/library version mismatch",
        NvmlError::Unknown => "Unknown Error",
        NvmlError::GpuLost => "GPU is lost",
        other => return other.to_string(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_gives_one_reason_and_one_with_a_driver_gives_facts() {
        match driver() {
            Err(reason) => assert!(!reason.is_empty()),
            Ok(driver) => assert_eq!(driver.facts.len(), 3),
        }
    }

    #[test]
    fn reasons_are_words_that_people_can_search_for() {
        assert_eq!(reason(&NvmlError::NoPermission), "Insufficient Permissions");
        assert_eq!(reason(&NvmlError::Unknown), "Unknown Error");
        let nothing = answer::<u32>(Err(NvmlError::NotSupported));
        assert_eq!(nothing, Err("not supported here".into()));
    }
}
