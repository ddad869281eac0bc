//! The border to libtorch: every switch can be set and read back, generators can be put back, and no exception crosses.

use samebits::error::Error;
use samebits::knob::{Accepts, KNOBS, Moment};
use samebits_torch::ffi::{
    Logical, RawOptimizer, Rule, Script, cuda_devices, describe, facts, failure, flip_bit,
    generator_seed, generator_state, knob, manual_seed, set_generator_state, set_knob, wake_cuda,
};
use tch::{Device, Kind, Tensor};

fn values(accepts: Accepts) -> Vec<&'static str> {
    match accepts {
        Accepts::Bool => vec!["true", "false"],
        Accepts::Count => vec!["1", "2"],
        Accepts::OneOf(words) => words.to_vec(),
        Accepts::Number => vec!["0"],
        Accepts::Workspace => vec![":16:8"],
    }
}

#[test]
fn every_switch_takes_its_accepted_values_and_reads_them_back() {
    wake_cuda();
    for row in KNOBS.iter().filter(|row| row.moment == Moment::AnyTime) {
        let before = knob(row.name).unwrap();
        for value in values(row.accepts) {
            // Interop threads can be set once in the life of a process; CUDA knows no bfloat16 for float32 products.
            let impossible =
                row.name == "threads.interop" || (row.name.contains(".cuda.") && value == "bf16");
            if impossible {
                continue;
            }
            set_knob(row.name, value).unwrap_or_else(|e| panic!("{}={value}: {e}", row.name));
            // `none` means as the level above says, which may be anything.
            if value != "none" {
                assert_eq!(knob(row.name).unwrap(), value, "{}", row.name);
            }
        }
        if row.name != "threads.interop" {
            set_knob(row.name, &before).unwrap();
        }
    }
}

#[test]
fn what_libtorch_refuses_is_an_error_and_never_an_exception() {
    assert!(matches!(
        set_knob("no.such.knob", "1"),
        Err(Error::Torch { .. })
    ));
    assert!(set_knob("cudnn.benchmark", "perhaps").is_err());
    assert!(set_knob("threads.intraop", "many").is_err());
    assert!(knob("no.such.knob").is_err());
    assert!(Script::load("/no/such/model.pt".as_ref(), None, None).is_err());
    assert!(generator_state(Some(99)).is_err());
    assert!(set_generator_state(None, &Tensor::from_slice(&[1u8, 2, 3])).is_err());
    let tensor = Tensor::from_slice(&[1f32, 2.0]);
    assert!(flip_bit(&tensor, 2, 0).is_err());
    assert!(flip_bit(&tensor, 0, 32).is_err());
    assert!(describe(&Tensor::new()).is_err());
    assert!(Logical::of(&Tensor::new()).is_err());
    let optimizer = RawOptimizer::new(Rule::Adam, 0.1, &[tensor]);
    assert!(optimizer.is_ok_and(|optimizer| optimizer.state(5).is_err()));
}

#[test]
fn a_refused_op_is_told_from_every_other_failure() {
    let said = "put_ does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True)'.";
    assert!(matches!(failure("training", said), Error::Refused { op } if op == "put_"));
    assert!(matches!(
        failure("training", "out of memory"),
        Error::Torch { .. }
    ));
}

#[test]
fn a_generators_state_put_back_draws_the_same_numbers() {
    manual_seed(12345).unwrap();
    assert_eq!(generator_seed(None).unwrap(), 12345);
    let state = generator_state(None).unwrap();
    let first = Tensor::randn([100], (Kind::Float, Device::Cpu));
    let second = Tensor::randn([100], (Kind::Float, Device::Cpu));
    set_generator_state(None, &state).unwrap();
    let again = Tensor::randn([100], (Kind::Float, Device::Cpu));
    assert_eq!(
        Logical::of(&first).unwrap().bytes(),
        Logical::of(&again).unwrap().bytes()
    );
    assert_ne!(
        Logical::of(&first).unwrap().bytes(),
        Logical::of(&second).unwrap().bytes()
    );
}

#[test]
fn libtorch_says_what_it_is_or_why_it_cannot() {
    let facts = facts().unwrap();
    let fact = |name: &str| {
        facts
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone())
            .unwrap()
    };
    assert_eq!(fact("version").as_deref(), Ok("2.11.0"));
    assert!(fact("show_config").unwrap().contains("PyTorch built with"));
    if cuda_devices().unwrap() == 0 {
        assert!(fact("cudart").is_err() || fact("has_cuda").as_deref() == Ok("false"));
    }
}

#[test]
fn a_flipped_bit_lands_in_the_tensor_itself_whatever_its_strides() {
    let base = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
    let transposed = base.transpose(0, 1);
    // Element 1 of the transposed tensor in row-major order is base[1][0].
    flip_bit(&transposed, 1, 31).unwrap();
    assert_eq!(base.double_value(&[1, 0]).to_bits(), (-4.0f64).to_bits());
    assert_eq!(base.double_value(&[0, 1]).to_bits(), 1f64.to_bits());
}
