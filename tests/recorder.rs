//! Two recordings beside each other: every kind of cause is found where it is, and not found where it is not.

#[path = "common/streams.rs"]
mod streams;

use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use samebits::error::Error;
use samebits::recorder::align::{Alignment, Gap, align};
use samebits::recorder::compare;
use samebits::recorder::finding::{Account, Change, Finding, Kind};
use samebits::trace::Phase;
use streams::{Op, Rng, Stream, find, spoil, stream, tensor, training};

/// What comes out of two runs, each being some streams.
fn account(reference: &[Stream], candidate: &[Stream]) -> Result<Account, Error> {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["reference", "candidate"].map(|name| folder.path().join(name));
    for (place, streams) in [(&ours, reference), (&theirs, candidate)] {
        std::fs::create_dir_all(place).unwrap();
        for stream in streams {
            stream.write(place);
        }
    }
    compare(&ours, &theirs)
}

/// What comes out of a training, and the same with something changed.
fn changed(change: impl Fn(&mut Vec<Op>)) -> Account {
    let ops = training(3);
    let mut other = ops.clone();
    change(&mut other);
    account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap()
}

fn found(change: impl Fn(&mut Vec<Op>)) -> Finding {
    changed(change).finding.expect("a finding")
}

/// Changes one op of step 1 and all that follows from it.
fn follows(ops: &mut [Op], name: &str, change: impl Fn(&mut Op)) {
    let at = find(ops, name, 1);
    spoil(ops, at);
    change(&mut ops[at]);
}

#[test]
fn equal_runs_have_no_finding_and_say_over_how_much() {
    let account = changed(|_| {});
    assert_eq!(account.finding, None);
    assert_eq!(account.notes, Vec::<String>::new());
    let compared = account.compared;
    assert_eq!(
        (
            compared.processes,
            compared.threads,
            compared.steps,
            compared.ops,
            compared.hashed
        ),
        (1, 1, 3, 30, 24)
    );
    assert_eq!(account.steps_by.as_deref(), Some("Optimizer.step#SGD.step"));
}

#[test]
fn an_op_that_gives_other_bits_for_the_same_inputs_is_the_cause_and_not_what_is_around_it() {
    let finding = found(|ops| follows(ops, "aten::addmm", |_| {}));
    assert_eq!(finding.kind, Kind::Op);
    let place = &finding.place;
    assert_eq!(
        (place.op.as_str(), place.step, place.occurrence),
        ("aten::addmm", 1, 0)
    );
    assert_eq!(place.parents, ["aten::linear"]);
    assert_eq!(
        (place.range.as_str(), place.phase),
        ("model.fc", Some(Phase::Forward))
    );
    assert!(finding.inputs.iter().all(|input| input.equal == Some(true)));
    assert!(
        finding
            .outputs
            .iter()
            .any(|output| output.equal == Some(false))
    );
    assert!(
        finding
            .what
            .contains("aten::addmm (in aten::linear) gave other bits"),
        "{}",
        finding.what
    );
    assert!(!finding.advice.is_empty());
}

#[test]
fn the_wake_counts_later_ops_by_step_and_leaves_out_what_is_around_the_cause() {
    let wake = found(|ops| follows(ops, "aten::addmm", |_| {})).wake;
    // Four leaves in the rest of step 1, six in step 2 of which the batch from outside is one.
    let steps: Vec<(u64, u64)> = wake.steps.iter().map(|one| (one.step, one.ops)).collect();
    assert_eq!(steps, [(1, 4), (2, 6)]);
    assert_eq!((wake.ops, wake.of), (10, 10));
    assert_eq!(wake.first[0].op, "aten::bernoulli_");
    assert_eq!(wake.last.unwrap().op, "aten::add_");
    let wake = found(|ops| {
        let at = find(ops, "aten::mm", 1);
        ops[at].outputs[0].digest = Some(5);
    })
    .wake;
    assert_eq!((wake.ops, wake.first.len(), wake.last), (0, 0, None));
}

#[test]
fn later_ops_that_part_the_runs_by_themselves_are_named_besides_the_first() {
    let besides = |change: &dyn Fn(&mut Vec<Op>)| {
        let finding = found(|ops| {
            follows(ops, "aten::addmm", |_| {});
            // The next batch is the same again.
            let at = find(ops, "aten::to", 2);
            ops[at].outputs[0].digest = ops[at].outputs[0].digest.map(|digest| digest ^ 0xDEAD);
            change(ops);
        });
        assert_eq!(finding.place.op, "aten::addmm");
        finding.besides
    };
    assert_eq!(besides(&|_| {}), []);
    let name = "aten::_index_put_impl_";
    let mut ops = training(3);
    for op in ops.iter_mut().filter(|op| op.name == "aten::mm") {
        op.name = name.into();
        op.inputs[0].digest = Some(1);
    }
    let mut other = ops.clone();
    follows(&mut other, "aten::addmm", |_| {});
    for op in other.iter_mut().filter(|op| op.name == name) {
        op.inputs[0].digest = Some(1);
    }
    let found = account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap();
    let finding = found.finding.unwrap();
    let mut besides_it = finding.besides.iter();
    let one = besides_it.find(|one| one.place.op == name).unwrap();
    assert_eq!((one.kind, one.place.step, one.ops), (Kind::Op, 1, 2));
    let fix = one.fix.as_ref().unwrap();
    assert!(
        finding
            .advice
            .iter()
            .any(|line| line.ends_with(fix.as_str()))
    );
    // A generator that stands elsewhere stands elsewhere ever after.
    let moved = besides(&|ops| {
        for (step, place) in [(1, 400), (2, 500)] {
            let at = find(ops, "aten::bernoulli_", step);
            ops[at].rng = Rng::Cpu(place, place + 1);
        }
    });
    let moved: Vec<_> = moved.iter().map(|one| (one.kind, one.ops)).collect();
    assert_eq!(moved, [(Kind::Rng, 2)]);
}

#[test]
fn a_backward_op_is_named_with_the_forward_op_it_belongs_to() {
    let finding = found(|ops| follows(ops, "aten::mm", |_| {}));
    assert_eq!(
        (finding.kind, finding.place.phase),
        (Kind::Op, Some(Phase::Backward))
    );
    assert_eq!(finding.place.parents, ["AddmmBackward0"]);
    let backward = finding.backward.unwrap();
    assert_eq!(backward.node, "AddmmBackward0");
    let forward = backward.forward.unwrap();
    assert_eq!((forward.op.as_str(), forward.step), ("aten::addmm", 1));
    assert_eq!(
        (forward.range.as_str(), forward.parents.as_slice()),
        ("model.fc", &["aten::linear".to_owned()][..])
    );
    let finding = found(|ops| follows(ops, "aten::add_", |_| {}));
    assert_eq!(
        (finding.place.phase, finding.backward),
        (Some(Phase::Update), None)
    );
    // A hook belongs to no node.
    let mut ops = training(3);
    let at = find(&ops, "aten::mse_loss", 1);
    ops[at].flags |= streams::ENGINE;
    let mut other = ops.clone();
    follows(&mut other, "aten::mse_loss", |_| {});
    let account = account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap();
    let hook = account.finding.unwrap();
    assert_eq!(
        (hook.place.phase, hook.backward),
        (Some(Phase::Backward), None)
    );
}

#[test]
fn what_the_recorder_says_of_an_op_decides_between_reasons() {
    for (flags, kind, word) in [
        (
            streams::UNINITIALISED,
            Kind::Uninitialised,
            "nothing had written",
        ),
        (streams::RACE, Kind::Race, "another thread"),
        (
            streams::ALERT,
            Kind::Op,
            "torch itself calls it nondeterministic (put_)",
        ),
    ] {
        let finding = found(|ops| {
            follows(ops, "aten::mse_loss", |op| {
                op.flags |= flags;
                op.alert = "put_".into();
            });
        });
        assert_eq!(finding.kind, kind);
        assert!(finding.what.contains(word), "{}", finding.what);
        // The same said of an op that gave the same bits means nothing.
        let control = changed(|ops| {
            let at = find(ops, "aten::mse_loss", 1);
            ops[at].flags |= flags;
            ops[at].alert = "put_".into();
        });
        assert_eq!(control.finding, None);
    }
    let finding = found(|ops| {
        follows(ops, "aten::add_", |op| {
            op.outputs[0].flags |= streams::OVERLAP;
        });
    });
    assert_eq!(finding.kind, Kind::Overlap);
}

#[test]
fn another_number_of_threads_is_the_cause_only_where_bits_differ() {
    let threads = |ops: &mut Vec<Op>| ops.iter_mut().for_each(|op| op.threads = 1);
    assert_eq!(changed(threads).finding, None);
    let finding = found(|ops| {
        threads(ops);
        follows(ops, "aten::mse_loss", |_| {});
    });
    assert_eq!(finding.kind, Kind::Threads);
    assert!(
        finding.what.contains("on 2 threads and on 1"),
        "{}",
        finding.what
    );
}

#[test]
fn arguments_and_data_from_outside_are_told_from_ops() {
    let finding = found(|ops| follows(ops, "aten::add_", |op| op.scalars = "alpha=2".into()));
    assert_eq!(finding.kind, Kind::Argument);
    assert!(
        finding.what.contains("`alpha=1` and `alpha=2`"),
        "{}",
        finding.what
    );
    let finding = found(|ops| follows(ops, "aten::to", |op| op.inputs[0].digest = Some(9)));
    assert_eq!((finding.kind, finding.place.step), (Kind::Outside, 1));
    assert!(
        finding
            .advice
            .iter()
            .any(|line| line.contains("DataLoader"))
    );
    let finding = found(|ops| follows(ops, "aten::mm", |op| op.inputs[0].digest = Some(9)));
    assert_eq!(finding.kind, Kind::UnrecordedWrite);
}

#[test]
fn what_an_op_was_called_with_is_named_where_the_program_called_it() {
    let finding = found(|ops| {
        follows(ops, "aten::bernoulli_", |op| op.scalars = "p=0.4".into());
        let at = find(ops, "aten::dropout", 1);
        ops[at].scalars = "p=0.6".into();
    });
    assert_eq!(
        (finding.kind, finding.place.op.as_str()),
        (Kind::Argument, "aten::dropout")
    );
    // A kernel that calls another one by its number of threads was called alike.
    let finding = found(|ops| {
        follows(ops, "aten::addmm", |op| op.scalars = "size=[6]".into());
        let at = find(ops, "aten::linear", 1);
        ops[at].threads = 6;
    });
    assert_eq!(
        (finding.kind, finding.place.op.as_str()),
        (Kind::Threads, "aten::linear")
    );
}

#[test]
fn another_tensor_is_told_from_another_content() {
    let finding = found(|ops| {
        follows(ops, "aten::mm", |op| {
            op.inputs[0].digest = Some(9);
            op.inputs[0].storage = 8;
        });
    });
    assert_eq!(finding.kind, Kind::Structure);
    assert!(
        finding.what.contains("was given another tensor"),
        "{}",
        finding.what
    );
}

#[test]
fn data_come_in_where_they_are_read_and_not_where_they_are_detached() {
    let with = |digest, name: &str| {
        let mut ops = training(2);
        let at = find(&ops, "aten::to", 1);
        ops[at].name = name.into();
        ops[at].inputs[0].digest = Some(digest);
        ops[at].outputs.clear();
        ops[at].flags |= streams::VIEW;
        ops
    };
    for (name, kind) in [("detach_", None), ("aten::lift_fresh", Some(Kind::Outside))] {
        let account = account(&[stream(1, &with(1, name))], &[stream(2, &with(2, name))]).unwrap();
        assert_eq!(account.finding.map(|finding| finding.kind), kind);
    }
}

#[test]
fn a_number_of_the_programs_own_is_told_from_data() {
    let number = |digest| {
        let mut number = tensor(1, digest);
        (number.sizes, number.dtype, number.flags) = (Vec::new(), "float64", streams::EXTERNAL);
        number
    };
    let mut ops = training(3);
    let at = find(&ops, "aten::mm", 1);
    ops[at].inputs.push(number(1));
    let mut other = ops.clone();
    follows(&mut other, "aten::mm", |op| op.inputs[1] = number(2));
    let account = account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap();
    let finding = account.finding.unwrap();
    assert_eq!(finding.kind, Kind::Argument);
    assert!(
        finding
            .what
            .contains("argument 1 of aten::mm (in AddmmBackward0) is a number"),
        "{}",
        finding.what
    );
}

#[test]
fn memory_that_is_written_before_it_is_read_is_no_cause_whatever_was_in_it() {
    let garbage = |op: &mut Op, digest| {
        op.inputs[0].flags = streams::EXTERNAL | streams::WRITTEN;
        op.inputs[0].digest = Some(digest);
    };
    for (name, flags) in [
        ("aten::copy_", 0),
        ("aten::as_strided", streams::VIEW),
        ("aten::zeros_like", 0),
    ] {
        let with = |digest, spoiled: bool| {
            let mut ops = training(3);
            let at = find(&ops, "aten::mse_loss", 1);
            if spoiled {
                spoil(&mut ops, at + 1);
            }
            ops[at].name = name.into();
            ops[at].flags |= flags;
            garbage(&mut ops[at], digest);
            if flags != 0 {
                (ops[at].outputs[0].digest, ops[at].outputs[0].state) = (None, 1);
            }
            ops
        };
        let same = account(&[stream(1, &with(1, false))], &[stream(2, &with(2, false))]).unwrap();
        assert_eq!(same.finding, None, "{name}");
        let other = account(&[stream(1, &with(1, false))], &[stream(2, &with(2, true))]).unwrap();
        assert_eq!(other.finding.unwrap().place.op, "aten::mm", "{name}");
    }
    // What it copies is read.
    let with = |digest| {
        let mut ops = training(3);
        follows(&mut ops, "aten::mse_loss", |op| {
            op.name = "aten::copy_".into();
            garbage(op, digest);
            op.inputs.push(tensor(1, digest));
            op.inputs[1].flags = streams::EXTERNAL;
            op.outputs[0].digest = Some(digest);
        });
        ops
    };
    let finding = account(&[stream(1, &with(1))], &[stream(2, &with(2))])
        .unwrap()
        .finding
        .unwrap();
    assert_eq!(finding.kind, Kind::Outside);
    assert!(
        finding.what.starts_with("argument 1 of aten::copy_"),
        "{}",
        finding.what
    );
}

#[test]
fn a_difference_that_is_there_when_recording_begins_is_not_blamed_on_data() {
    let late = |mut ops: Vec<Op>| {
        ops.retain(|op| op.step > 0);
        ops
    };
    let mut other = training(3);
    let at = find(&other, "aten::to", 1);
    spoil(&mut other, at);
    other[at].inputs[0].digest = Some(9);
    let account =
        self::account(&[stream(1, &late(training(3)))], &[stream(2, &late(other))]).unwrap();
    assert_eq!(account.finding.unwrap().kind, Kind::Before);
    // So is what an op made that was recorded and dropped again: the last steps of many are kept.
    let kept = |digest| {
        let mut ops = late(training(3));
        let at = find(&ops, "aten::mm", 1);
        (ops[at].inputs[0].storage, ops[at].inputs[0].digest) = (55, Some(digest));
        ops[at].outputs[0].digest = Some(digest);
        ops
    };
    let lately = |digest, change: &dyn Fn(&mut Vec<Op>)| {
        let mut ops = kept(digest);
        change(&mut ops);
        stream(1, &ops)
    };
    let dropped: &dyn Fn(&mut Vec<Op>) = &|_| {};
    let written: &dyn Fn(&mut Vec<Op>) = &|ops| {
        let at = find(ops, "aten::mse_loss", 1);
        ops[at].outputs[0].storage = 55;
    };
    for (change, kind) in [(dropped, Kind::Before), (written, Kind::UnrecordedWrite)] {
        let account = self::account(&[lately(4, change)], &[lately(5, change)]).unwrap();
        assert_eq!(account.finding.unwrap().kind, kind);
    }
    // A number is made where it is used.
    let with = |digest, flag| {
        let mut ops = late(training(3));
        let at = find(&ops, "aten::to", 1);
        let one = &mut ops[at].inputs[0];
        (one.sizes, one.dtype, one.digest) = (Vec::new(), "float64", Some(digest));
        one.flags |= flag;
        ops[at].outputs[0].digest = Some(digest);
        ops
    };
    for (flag, kind) in [(streams::NUMBER, Kind::Argument), (0, Kind::Before)] {
        let account =
            self::account(&[stream(1, &with(4, flag))], &[stream(2, &with(5, flag))]).unwrap();
        assert_eq!(account.finding.unwrap().kind, kind);
    }
}

#[test]
fn an_unseeded_generator_is_told_from_one_that_was_moved_later() {
    let finding = found(|ops| {
        for step in 0..3 {
            let at = find(ops, "aten::bernoulli_", step);
            ops[at].rng = Rng::Cpu(90 + step, 91 + step);
        }
        let at = find(ops, "aten::bernoulli_", 0);
        spoil(ops, at);
    });
    assert_eq!((finding.kind, finding.place.step), (Kind::Rng, 0));
    assert!(finding.draws.unwrap().first && finding.what.contains("not seeded"));
    assert!(finding.advice[0].contains("manual_seed"));
    let finding = found(|ops| follows(ops, "aten::bernoulli_", |op| op.rng = Rng::Cpu(1, 2)));
    assert!(
        !finding.draws.unwrap().first && finding.what.contains("not recorded"),
        "{}",
        finding.what
    );
    let finding = found(|ops| {
        let at = find(ops, "aten::bernoulli_", 1);
        ops[at].rng = Rng::Cpu(78, 2);
    });
    let draws = finding.draws.unwrap();
    assert!(draws.before && !draws.after && finding.what.contains("another number of draws"));
    let cuda = |before| {
        move |ops: &mut Vec<Op>| {
            follows(ops, "aten::bernoulli_", |op| {
                op.rng = Rng::Cuda(7, before, before + 4);
            });
        }
    };
    let mut ops = training(3);
    cuda(0)(&mut ops);
    let mut other = training(3);
    cuda(8)(&mut other);
    let account = account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap();
    let draws = account.finding.unwrap().draws.unwrap();
    assert_eq!(draws.philox.unwrap().candidate, [7, 8, 12]);
}

#[test]
fn a_random_op_whose_generator_nobody_saw_is_a_matter_of_seeds() {
    let unseen = |op: &mut Op| op.rng = Rng::None;
    let mut ops = training(3);
    let at = find(&ops, "aten::bernoulli_", 1);
    unseen(&mut ops[at]);
    let mut other = ops.clone();
    follows(&mut other, "aten::bernoulli_", unseen);
    let finding = account(&[stream(1, &ops)], &[stream(2, &other)])
        .unwrap()
        .finding
        .unwrap();
    assert_eq!((finding.kind, finding.draws), (Kind::Rng, None));
    assert!(finding.what.contains("of the program's own"));
}

#[test]
fn other_shapes_are_named_as_such() {
    let finding = found(|ops| follows(ops, "aten::mse_loss", |op| op.outputs[0].sizes = vec![9]));
    assert_eq!(
        (finding.kind, finding.place.op.as_str()),
        (Kind::Shape, "aten::mse_loss")
    );
    assert!(finding.what.contains("result 0"), "{}", finding.what);
    assert_eq!(
        finding.outputs[0].sides.candidate.as_ref().unwrap().shape,
        [9]
    );
}

/// Gives every op the index of its place.
fn renumber(ops: &mut [Op]) {
    for (at, op) in ops.iter_mut().enumerate() {
        op.index = at as u64;
        op.order = at as u64;
        op.parent = None;
    }
}

#[test]
fn ops_that_one_run_only_has_are_found_and_the_runs_come_together_again() {
    let mut ops = training(3);
    renumber(&mut ops);
    let with = |change: &dyn Fn(&mut Vec<Op>)| {
        let mut other = ops.clone();
        change(&mut other);
        renumber(&mut other);
        account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap()
    };
    let at = find(&ops, "aten::mse_loss", 1);
    let extra = with(&|ops| ops.insert(at, streams::op(0, "aten::isnan")));
    let finding = extra.finding.unwrap();
    let structure = finding.structure.unwrap();
    assert_eq!(
        (finding.kind, structure.what),
        (Kind::Structure, Change::Extra)
    );
    assert_eq!(
        (finding.place.op.as_str(), finding.place.index),
        ("aten::isnan", at as u64)
    );
    assert!(structure.next.candidate[0].contains("aten::isnan"));
    assert!(structure.next.reference[0].contains("aten::mse_loss"));
    assert_eq!((structure.before.len(), extra.compared.ops), (4, 30));
    assert_eq!((finding.wake.ops, finding.wake.of), (0, 9));
    let missing = with(&|ops| drop(ops.remove(at))).finding.unwrap();
    assert_eq!(missing.structure.unwrap().what, Change::Missing);
    assert_eq!(missing.place.op, "aten::mse_loss");
    let other = with(&|ops| ops[at].name = "aten::l1_loss".into())
        .finding
        .unwrap();
    assert_eq!(other.structure.unwrap().what, Change::Other);
    // What differs before other ops run is the cause; that other ops ran is said besides.
    let both = with(&|ops| {
        spoil(ops, at - 2);
        ops.remove(at);
    });
    let finding = both.finding.unwrap();
    assert_eq!(
        (finding.kind, finding.place.index),
        (Kind::Op, at as u64 - 2)
    );
    assert_eq!(finding.structure.unwrap().what, Change::Missing);
}

#[test]
fn recorded_steps_are_told_from_those_that_ended() {
    let window = |pid| {
        let mut stream = streams::Stream::new(pid);
        let ops = training(5);
        for step in 0..5 {
            for op in ops.iter().filter(|op| op.step == step && step > 2) {
                stream.op(op);
            }
            stream.step(step + 1, 0);
        }
        stream.end();
        stream
    };
    let compared = account(&[window(1)], &[window(2)]).unwrap().compared;
    assert_eq!((compared.steps, compared.announced), (2, 5));
}

/// The last steps of runs of another length are other steps.
#[test]
fn steps_that_one_recording_alone_kept_are_left_out() {
    let last = |steps: u64, first: u64, pid| {
        let mut ops = training(steps);
        ops.retain(|op| op.step >= first);
        stream(pid, &ops)
    };
    let account = account(&[last(6, 2, 1)], &[last(8, 4, 2)]).unwrap();
    let note = account
        .notes
        .iter()
        .find(|note| note.contains("from step 4 on"));
    assert!(note.is_some(), "{:?}", account.notes);
    assert_eq!(account.compared.ops, 20);
    let finding = account.finding.unwrap();
    assert_eq!(
        (finding.kind, finding.structure.unwrap().what),
        (Kind::Structure, Change::Steps)
    );
    // A short run may have kept all.
    let short = self::account(&[last(3, 0, 1)], &[last(4, 2, 2)]).unwrap();
    assert_eq!(short.compared.ops, 10);
    let apart = self::account(&[last(3, 2, 1)], &[last(9, 7, 2)]).unwrap_err();
    assert!(apart.to_string().contains("no step in common"), "{apart}");
    let same = self::account(&[last(6, 2, 1)], &[last(6, 2, 2)]).unwrap();
    assert_eq!((same.finding, same.compared.ops), (None, 40));
}

#[test]
fn an_optimiser_that_leaves_one_update_out_is_no_shorter_run() {
    let mut ops = training(3);
    renumber(&mut ops);
    let mut other = ops.clone();
    other.retain(|op| {
        op.step != 1 || !["Optimizer.step#SGD.step", "aten::add_"].contains(&op.name.as_str())
    });
    for op in ops
        .iter_mut()
        .chain(&mut other)
        .filter(|op| op.name == "aten::add_")
    {
        op.range = "Optimizer.step#SGD.step".into();
    }
    renumber(&mut other);
    let mut fewer = streams::Stream::new(2);
    for op in &other {
        // The first step ends; the next one ends without an update, and so without a word.
        if op.step == 1 && op.name == "aten::to" {
            fewer.step(1, op.index);
        }
        fewer.op(op);
    }
    fewer.step(2, 99);
    fewer.end();
    let finding = account(&[stream(1, &ops)], &[fewer])
        .unwrap()
        .finding
        .unwrap();
    assert_eq!(finding.structure.unwrap().what, Change::Missing);
}

#[test]
fn another_number_of_steps_is_named() {
    let account = account(&[stream(1, &training(3))], &[stream(2, &training(4))]).unwrap();
    let finding = account.finding.unwrap();
    let structure = finding.structure.unwrap();
    assert_eq!(structure.what, Change::Steps);
    assert_eq!(
        (structure.steps.reference, structure.steps.candidate),
        (3, 4)
    );
    assert_eq!(
        (finding.place.op.as_str(), finding.place.step),
        ("aten::to", 3)
    );
}

#[test]
fn what_comes_after_more_steps_differs_because_of_them_whichever_run_has_more() {
    let run = |steps: u64, pid| {
        let mut ops = training(steps);
        let last = ops.last().unwrap().index;
        for at in 1..9 {
            let mut op = streams::op(last + at, "aten::detach");
            op.step = steps;
            op.inputs = vec![tensor(0, 100 * steps + at)];
            op.outputs = op.inputs.clone();
            ops.push(op);
        }
        stream(pid, &ops)
    };
    for (ours, theirs) in [(3, 5), (5, 3), (3, 4)] {
        let account = account(&[run(ours, 1)], &[run(theirs, 2)]).unwrap();
        let finding = account.finding.unwrap();
        assert_eq!(
            (finding.kind, finding.place.op.as_str(), finding.place.step),
            (Kind::Structure, "aten::to", ours.min(theirs)),
            "{}",
            finding.what
        );
        assert_eq!(finding.structure.unwrap().what, Change::Steps);
    }
}

#[test]
fn other_ops_inside_an_op_that_runs_on_other_threads_come_from_that() {
    let run = |threads: u64, pid| {
        let mut ops = training(2);
        renumber(&mut ops);
        let at = find(&ops, "aten::mse_loss", 1);
        ops[at].flags = 0;
        ops[at].threads = threads;
        if threads > 1 {
            spoil(&mut ops, at);
            let inner = streams::op(0, "aten::as_strided");
            let inner = streams::Op { step: 1, ..inner };
            ops.splice(at..at, [inner.clone(), inner]);
            renumber(&mut ops);
            // What is inside ends first and begins later.
            let begins = [1, 2, 0].map(|after| (at + after) as u64);
            for (op, begin) in ops[at..].iter_mut().zip(begins) {
                (op.index, op.order) = (begin, begin);
                op.parent = (begin > at as u64).then_some(at as u64);
                op.depth = u64::from(op.parent.is_some());
            }
        }
        stream(pid, &ops)
    };
    for (ours, theirs) in [(1, 2), (2, 1)] {
        let account = account(&[run(ours, 1)], &[run(theirs, 2)]).unwrap();
        let finding = account.finding.unwrap();
        assert_eq!(
            (finding.kind, finding.place.op.as_str()),
            (Kind::Threads, "aten::mse_loss"),
            "{}",
            finding.what
        );
    }
}

#[test]
fn a_run_that_was_ended_from_outside_is_compared_as_far_as_it_goes() {
    let mut short = Stream::new(2);
    for op in training(2) {
        short.op(&op);
    }
    let one = account(&[stream(1, &training(3))], &[short.clone()]).unwrap();
    assert_eq!(one.finding, None);
    assert!(
        one.notes.iter().any(|note| note.contains("no end mark")),
        "{:?}",
        one.notes
    );
    short.limit(20);
    short.end();
    let one = account(&[stream(1, &training(3))], &[short]).unwrap();
    assert_eq!(one.finding, None);
    assert!(
        one.notes.iter().any(|note| note.contains("limit on bytes")),
        "{:?}",
        one.notes
    );
}

#[test]
fn kept_values_show_the_first_element_that_differs() {
    let with = |pid: u64, digest: u64, value: f32| {
        let mut ops = training(1);
        let at = find(&ops, "aten::mse_loss", 0);
        ops[at].outputs[0].digest = Some(digest);
        let mut stream = Stream::new(pid);
        for op in &ops {
            stream.op(op);
            if op.name == "aten::mse_loss" {
                stream.values(op.index, false, 0, &[2, 3], &[0.0; 6]);
                stream.values(
                    op.index,
                    true,
                    0,
                    &[2, 3],
                    &[1.0, 1.0, 1.0, 1.0, value, 1.0],
                );
            }
        }
        stream.end();
        stream
    };
    let account = account(&[with(1, 1, 1.0)], &[with(2, 2, 1.0 + f32::EPSILON)]).unwrap();
    let first = account.finding.unwrap().first.unwrap();
    assert_eq!(
        (first.output, first.index, first.position),
        (true, 4, vec![1, 1])
    );
    assert_eq!((first.ulp, first.differing, first.numel), (Some(1), 1, 6));
    assert_eq!(first.values.reference.decimal, "1.0");
}

#[test]
fn nothing_compared_is_an_error_that_says_why() {
    let nothing = account(&[], &[]).unwrap_err().to_string();
    assert!(
        nothing.contains("no process ran an op under the recorder"),
        "{nothing}"
    );
    let silent = account(&[stream(1, &[])], &[stream(1, &[])])
        .unwrap_err()
        .to_string();
    assert!(silent.contains("no op ran in the steps"), "{silent}");
    // A file without ops still tells how many steps went by.
    let mut late = streams::Stream::new(1);
    (0..3).for_each(|step| late.step(step + 1, 0));
    late.end();
    let late = account(&[late.clone()], &[late]).unwrap_err().to_string();
    assert!(late.contains("there were 3, from 0 on"), "{late}");
    let one_side = account(&[stream(1, &training(1))], &[])
        .unwrap_err()
        .to_string();
    assert!(
        one_side.contains("candidate") && one_side.contains("no op was recorded"),
        "{one_side}"
    );
    let unhashed = |pid| {
        let mut ops = training(1);
        for tensor in ops.iter_mut().flat_map(|op| &mut op.outputs) {
            (tensor.digest, tensor.state, tensor.reason) = (None, 3, "meta");
        }
        stream(pid, &ops)
    };
    let unhashed = account(&[unhashed(1)], &[unhashed(2)])
        .unwrap_err()
        .to_string();
    assert!(
        unhashed.contains("nothing was compared: 10 ops ran"),
        "{unhashed}"
    );
}

#[test]
fn ops_whose_results_could_not_be_hashed_are_counted_and_not_called_equal() {
    let skip = |op: &mut Op| {
        (
            op.outputs[0].digest,
            op.outputs[0].state,
            op.outputs[0].reason,
        ) = (None, 3, "sparse");
    };
    let mut ops = training(1);
    skip(&mut ops[2]);
    let account = account(&[stream(1, &ops)], &[stream(2, &ops)]).unwrap();
    assert_eq!((account.compared.hashed, account.compared.unhashed), (7, 1));
    assert!(
        account.notes.iter().any(|note| note.contains("1 sparse")),
        "{:?}",
        account.notes
    );
}

#[test]
fn a_tensor_hashed_on_one_side_only_is_no_difference() {
    let account = changed(|ops| {
        let at = find(ops, "aten::mm", 1);
        ops[at].inputs[0].digest = None;
        ops[at].outputs[0].digest = None;
    });
    assert_eq!((account.finding, account.compared.hashed), (None, 23));
}

#[test]
fn ranks_and_forked_workers_are_paired_whatever_their_process_ids_and_folders() {
    let rank = |pid, rank, out: &str, ops: &[Op]| {
        let mut stream = stream(pid, ops);
        stream.rank = vec![("RANK", rank)];
        stream.argv.push(out.into());
        stream
    };
    let mut other = training(3);
    follows(&mut other, "aten::mm", |_| {});
    let ours = [
        rank(1, "0", "out1", &training(3)),
        rank(2, "1", "out1", &training(3)),
    ];
    let theirs = [
        rank(8, "1", "out2", &other),
        rank(9, "0", "out2", &training(3)),
    ];
    let account = account(&ours, &theirs).unwrap();
    assert_eq!(account.compared.processes, 2);
    let finding = account.finding.unwrap();
    assert_eq!(finding.process.rank["RANK"], "1");
    assert!(account.others.is_empty());
}

#[test]
fn a_rank_that_waits_for_another_is_not_the_cause() {
    let rank = |pid, rank, change: &dyn Fn(&mut Vec<Op>)| {
        let mut ops = training(3);
        for op in &mut ops {
            if op.name == "aten::mse_loss" {
                op.name = "c10d::allreduce_".into();
            }
        }
        change(&mut ops);
        let mut stream = stream(pid, &ops);
        stream.rank = vec![("RANK", rank)];
        stream
    };
    let nothing: &dyn Fn(&mut Vec<Op>) = &|_| {};
    let account = account(
        &[rank(1, "0", nothing), rank(2, "1", nothing)],
        &[
            rank(1, "0", &|ops| follows(ops, "c10d::allreduce_", |_| {})),
            rank(2, "1", &|ops| follows(ops, "aten::addmm", |_| {})),
        ],
    )
    .unwrap();
    let finding = account.finding.unwrap();
    assert_eq!(
        (
            finding.process.rank["RANK"].as_str(),
            finding.place.op.as_str()
        ),
        ("1", "aten::addmm")
    );
    assert!(account.others[0].contains("RANK=0") && account.others[0].contains("c10d::allreduce_"));
    // It writes after its op has ended: what it brought is found where the next op reads it.
    let sent: &dyn Fn(&mut Vec<Op>) = &|ops| {
        for op in ops.iter_mut().filter(|op| op.name == "aten::mm") {
            op.inputs[0].flags = streams::EXTERNAL;
        }
    };
    let reads = |ops: &mut Vec<Op>| {
        follows(ops, "aten::mm", |_| {});
        sent(ops);
        let at = find(ops, "aten::mm", 1);
        ops[at].inputs[0].digest = Some(1);
    };
    let reads: &dyn Fn(&mut Vec<Op>) = &reads;
    let causes: &dyn Fn(&mut Vec<Op>) = &|ops| {
        follows(ops, "aten::addmm", |_| {});
        sent(ops);
    };
    for (change, rank_1, op) in [(causes, "1", "aten::addmm"), (sent, "0", "aten::mm")] {
        let account = self::account(
            &[rank(1, "0", sent), rank(2, "1", sent)],
            &[rank(1, "0", reads), rank(2, "1", change)],
        )
        .unwrap();
        let finding = account.finding.unwrap();
        let found = (&finding.process.rank["RANK"], &finding.place.op);
        assert_eq!((found.0.as_str(), found.1.as_str()), (rank_1, op));
        // Where no other rank differs, the collective is named.
        let brought = finding.collective.map(|place| place.op);
        let expected = (op == "aten::mm").then_some("c10d::allreduce_");
        assert_eq!(brought.as_deref(), expected);
        assert_eq!(
            finding.what.contains("c10d::allreduce_ brought it"),
            expected.is_some()
        );
    }
}

#[test]
fn data_that_a_forked_worker_made_differently_is_traced_to_the_worker() {
    let worker = |pid, change: &dyn Fn(&mut Vec<Op>)| {
        let mut ops = training(1);
        change(&mut ops);
        let mut stream = stream(pid, &ops);
        stream.role = "0/f0".into();
        stream
    };
    let mut main = training(3);
    follows(&mut main, "aten::to", |op| op.inputs[0].digest = Some(9));
    let draw: &dyn Fn(&mut Vec<Op>) = &|ops| {
        let at = find(ops, "aten::bernoulli_", 0);
        spoil(ops, at);
        ops[at].rng = Rng::Cpu(1, 2);
    };
    let account = account(
        &[stream(1, &training(3)), worker(2, &|_| {})],
        &[stream(1, &main), worker(2, draw)],
    )
    .unwrap();
    let finding = account.finding.unwrap();
    assert_eq!(
        (finding.process.role.as_str(), finding.kind),
        ("0/f0", Kind::Rng)
    );
    assert!(
        finding.advice[0].contains("worker_init_fn"),
        "{:?}",
        finding.advice
    );
    assert!(account.others[0].contains("the main process"));
}

#[test]
fn data_that_a_process_started_anew_made_differently_is_traced_to_it() {
    let child = |pid, parent, spoiled: bool| {
        let mut ops = training(1);
        if spoiled {
            let at = find(&ops, "aten::mm", 0);
            spoil(&mut ops, at);
        }
        let mut stream = stream(pid, &ops);
        stream.argv = vec!["python".into(), "-c".into(), "spawn_main".into()];
        stream.parent = parent;
        stream
    };
    let mut main = training(3);
    follows(&mut main, "aten::to", |op| op.inputs[0].digest = Some(9));
    let account = account(
        &[stream(1, &training(3)), child(2, 1, false)],
        &[stream(11, &main), child(12, 11, true)],
    )
    .unwrap();
    let finding = account.finding.unwrap();
    assert_eq!((finding.kind, finding.process.argv.len()), (Kind::Op, 3));
}

#[test]
fn what_another_thread_wrote_in_between_is_a_race_and_no_unrecorded_write() {
    let main = |digest| {
        let mut ops = training(1);
        let at = find(&ops, "aten::mm", 0);
        if digest != 1 {
            spoil(&mut ops, at);
        }
        ops[at].inputs[0].digest = Some(digest);
        ops[at].inputs[0].storage = 9;
        stream(1, &ops)
    };
    let worker = |storage| {
        let mut op = streams::op(0, "aten::add_");
        op.outputs = vec![tensor(0, 5)];
        (op.outputs[0].storage, op.outputs[0].flags) = (storage, streams::WRITTEN);
        let mut stream = stream(1, &[op]);
        (stream.thread, stream.thread_role) = (1, "worker");
        stream
    };
    for (storage, kind) in [(9, Kind::Race), (8, Kind::UnrecordedWrite)] {
        let account = account(&[main(1), worker(storage)], &[main(2), worker(storage)]).unwrap();
        assert_eq!(account.finding.unwrap().kind, kind);
    }
    // It need not have happened in the reference: an op that another thread's is in the middle of.
    let writes = |pid: u64, begin: u64, spoiled: bool| {
        let mut ops = training(1);
        let at = find(&ops, "aten::add_", 0);
        ops[at].outputs[0].storage = 9;
        if spoiled {
            spoil(&mut ops, at);
        }
        let mut other: Vec<Op> = (0..2)
            .map(|index| streams::op(index, "aten::add_"))
            .collect();
        for (op, order) in other.iter_mut().zip([begin, begin + 50]) {
            op.order = order;
            op.outputs = vec![tensor(0, 5)];
            (op.outputs[0].storage, op.outputs[0].flags) = (9, streams::WRITTEN);
        }
        other[1].outputs.clear();
        let mut thread = stream(pid, &other);
        (thread.thread, thread.thread_role) = (1, "worker");
        [stream(pid, &ops), thread]
    };
    for (begin, kind) in [(2, Kind::Race), (100, Kind::Op)] {
        let found = account(&writes(1, 100, false), &writes(2, begin, true)).unwrap();
        assert_eq!(found.finding.unwrap().kind, kind);
    }
    // An op that reads such a tensor, of which nothing was hashed again.
    let reads = |spoiled: bool| {
        let mut ops = training(1);
        let at = find(&ops, "aten::mm", 0);
        if spoiled {
            spoil(&mut ops, at);
        }
        (ops[at].inputs[0].digest, ops[at].inputs[0].storage) = (None, 9);
        stream(1, &ops)
    };
    for (storage, kind) in [(9, Kind::Race), (8, Kind::Op)] {
        let ours = [reads(false), worker(storage)];
        let account = account(&ours, &[reads(true), worker(storage)]).unwrap();
        assert_eq!(account.finding.unwrap().kind, kind);
    }
}

#[test]
fn threads_are_compared_by_what_they_did_and_the_first_in_time_counts() {
    let thread = |number, name: &str, order: u64, digest: u64| {
        let ops: Vec<Op> = (0..20)
            .map(|at| {
                let mut op = streams::op(at, name);
                op.order = order + 2 * at;
                op.outputs = vec![tensor(0, if at > 10 { digest } else { 1 })];
                op
            })
            .collect();
        let mut stream = stream(1, &ops);
        (stream.thread, stream.thread_role) = (number, "worker");
        stream
    };
    // The two change their numbers from run to run, and the second one differs first.
    let account = account(
        &[thread(1, "aten::add", 100, 1), thread(2, "aten::mul", 1, 1)],
        &[thread(1, "aten::mul", 100, 2), thread(2, "aten::add", 1, 2)],
    )
    .unwrap();
    assert_eq!(account.compared.ops, 40);
    let finding = account.finding.unwrap();
    assert_eq!(
        (
            finding.place.op.as_str(),
            finding.place.index,
            finding.thread.number
        ),
        ("aten::mul", 11, 2)
    );
}

#[test]
fn threads_that_do_the_same_with_other_data_are_paired_by_their_data() {
    let thread = |number, data: u64| {
        let mut ops = training(1);
        for tensor in ops.iter_mut().flat_map(|op| &mut op.outputs) {
            tensor.digest = tensor.digest.map(|digest| digest ^ data);
        }
        let mut stream = stream(1, &ops);
        (stream.thread, stream.thread_role) = (number, "worker");
        stream
    };
    let account = account(&[thread(1, 5), thread(2, 6)], &[thread(1, 6), thread(2, 5)]).unwrap();
    assert_eq!((account.finding, account.compared.threads), (None, 2));
}

#[test]
fn threads_that_change_the_same_memory_are_paired_by_the_numbers_they_use() {
    for by_tensor in [false, true] {
        let thread = |number, factor: u64, chance: u64| {
            let mut ops = training(1);
            for op in &mut ops {
                for tensor in &mut op.outputs {
                    tensor.digest = tensor.digest.map(|digest| digest ^ chance);
                }
                let mut wrapped = tensor(1, factor);
                (wrapped.sizes, wrapped.dtype) = (Vec::new(), "float64");
                wrapped.flags = streams::EXTERNAL | streams::NUMBER;
                if by_tensor {
                    op.inputs.push(wrapped);
                } else {
                    op.scalars = format!("alpha={factor}");
                }
            }
            let mut stream = stream(1, &ops);
            (stream.thread, stream.thread_role) = (number, "worker");
            stream
        };
        let ours = [thread(1, 5, 71), thread(2, 6, 72)];
        let theirs = [thread(1, 6, 73), thread(2, 5, 74)];
        let finding = account(&ours, &theirs).unwrap().finding.unwrap();
        assert_ne!(finding.kind, Kind::Argument, "{}", finding.what);
        // The control: another number in the same thread is found.
        let theirs = [thread(1, 7, 73), thread(2, 6, 74)];
        let finding = account(&ours, &theirs).unwrap().finding.unwrap();
        assert_eq!(finding.kind, Kind::Argument, "{}", finding.what);
    }
}

#[test]
fn batches_that_arrive_earlier_or_later_are_no_other_ops() {
    let mut ops = training(3);
    renumber(&mut ops);
    let with = |step, range: &str| {
        let mut ops = ops.clone();
        let at = find(&ops, "aten::to", step);
        let mut arrival = streams::op(0, "aten::empty");
        arrival.range = range.into();
        arrival.step = step;
        ops.insert(at, arrival);
        renumber(&mut ops);
        stream(1, &ops)
    };
    let range = "enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__";
    let account = account(&[with(1, range)], &[with(2, range)]).unwrap();
    assert_eq!((account.finding, account.compared.ops), (None, 30));
    let account = self::account(&[with(1, "model")], &[with(2, "model")]).unwrap();
    assert_eq!(account.finding.unwrap().kind, Kind::Structure);
}

#[test]
fn a_kernels_own_memory_is_no_result() {
    let with = |name: &str, digest| {
        let mut ops = training(2);
        let at = find(&ops, "aten::addmm", 1);
        ops[at].name = name.into();
        let mut scratch = tensor(1, digest);
        scratch.dtype = "uint8";
        ops[at].outputs.push(scratch);
        stream(1, &ops)
    };
    for (name, kind) in [
        ("aten::mkldnn_rnn_layer", None),
        ("aten::addmm", Some(Kind::Op)),
    ] {
        let account = account(&[with(name, 1)], &[with(name, 2)]).unwrap();
        assert_eq!(account.finding.map(|finding| finding.kind), kind, "{name}");
    }
}

#[test]
fn a_thread_or_process_that_one_run_only_has_is_told() {
    let mut other = stream(2, &training(1));
    other.role = "0/f0".into();
    let ours = [stream(1, &training(3))];
    let account = account(&ours, &[stream(1, &training(3)), other]).unwrap();
    let finding = account.finding.unwrap();
    assert_eq!(
        (finding.kind, finding.structure.unwrap().what),
        (Kind::Structure, Change::Alone)
    );
    assert!(finding.what.contains("candidate only"), "{}", finding.what);
}

#[test]
fn no_changed_digest_is_overlooked() {
    let ops = training(2);
    for (at, op) in ops.iter().enumerate() {
        for output in 0..op.outputs.len() {
            for bit in [0, 17, 63] {
                let mut other = ops.clone();
                let digest = &mut other[at].outputs[output].digest;
                *digest = digest.map(|digest| digest ^ 1 << bit);
                let account = account(&[stream(1, &ops)], &[stream(2, &other)]).unwrap();
                let finding = account.finding.expect("a finding");
                assert_eq!((finding.kind, finding.place.index), (Kind::Op, op.index));
            }
        }
    }
}

#[test]
fn a_finding_is_the_same_after_json() {
    let account = changed(|ops| follows(ops, "aten::mm", |_| {}));
    let text = serde_json::to_string(&account).unwrap();
    assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), account);
}

#[test]
fn a_stream_cut_at_any_byte_is_read_as_far_as_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
    let mut stream = stream(1, &training(2));
    stream.note("a note");
    stream.fork("0/f0", 3);
    let path = stream.write(&whole);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::create_dir(&cut).unwrap();
    let mut last = 0;
    for end in 0..=bytes.len() {
        std::fs::write(cut.join("p1-t0.ops"), &bytes[..end]).unwrap();
        match compare(&whole, &cut) {
            Ok(account) => {
                assert_eq!(account.finding, None, "cut at {end}");
                assert!(account.compared.ops >= last, "cut at {end}");
                last = account.compared.ops;
                let told = account.notes.iter().any(|note| note.contains("is cut off"));
                assert!(
                    told || end == bytes.len(),
                    "cut at {end}: {:?}",
                    account.notes
                );
            }
            Err(error) => {
                let text = error.to_string();
                let expected = text.contains("no op") || text.contains("nothing was compared");
                assert!(expected && last == 0, "cut at {end}: {text}");
            }
        }
    }
    assert_eq!(last, 20);
}

#[test]
fn damaged_streams_are_refused_with_file_place_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    stream(1, &training(1)).write(&good);
    let refused = |bytes: &[u8]| {
        let bad = folder.path().join("bad");
        std::fs::create_dir_all(&bad).unwrap();
        std::fs::write(bad.join("p1-t0.ops"), bytes).unwrap();
        let error = compare(&good, &bad).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("p1-t0.ops"), "{text}");
        text
    };
    assert!(refused(b"something else").contains("no stream"));
    let with = |kind: u8, payload: &[u8]| {
        let mut stream = stream(1, &training(1));
        stream.record(kind, payload);
        stream.bytes()
    };
    for (kind, payload, reason) in [
        (9, &[][..], "unknown kind"),
        (1, &[0, b'x'], "two texts have one number"),
        (
            1,
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            "a number that is too large",
        ),
        (3, &[0, 99, 0], "before it is defined"),
        (3, &[0, 1, 0, 0], "longer than what it says"),
        (2, &[0], "middle of a record"),
        (4, &[0, 7], "neither"),
    ] {
        let text = refused(&with(kind, payload));
        assert!(text.contains(reason) && text.contains("at byte"), "{text}");
    }
    let good = stream(1, &training(1)).bytes();
    let mut other = good.clone();
    other[8] -= 1;
    assert!(refused(&other).contains("goes past the end"));
    other[8..16].fill(0);
    assert!(refused(&other).contains("0 bytes"));
    let text = String::from_utf8_lossy(&good[16..4096]).replace("\"format\":1", "\"format\":2");
    let other = [&good[..16], text.as_bytes(), &good[4096..]].concat();
    assert!(refused(&other).contains("format 2"));
}

/// All that must hold for an alignment of any two sequences.
fn holds(ours: &[u64], theirs: &[u64], found: &Alignment) {
    let mut last = (0, 0);
    for block in &found.blocks {
        assert!(block.length > 0 && block.reference >= last.0 && block.candidate >= last.1);
        last = (
            block.reference + block.length,
            block.candidate + block.length,
        );
        assert_eq!(
            ours[block.reference..last.0],
            theirs[block.candidate..last.1]
        );
    }
}

proptest! {
    #[test]
    fn sequences_with_a_few_changes_come_together_again(
        seed in proptest::collection::vec(0u64..40, 200..1_500),
        cuts in proptest::collection::vec((0usize..1_500, 0usize..6, 0usize..6), 0..6),
    ) {
        let mut other = seed.clone();
        let mut changed = 0;
        for (at, without, with) in cuts {
            let at = at % other.len();
            let without = without.min(other.len() - at);
            other.splice(at..at + without, (0..with).map(|new| 1_000 + new as u64));
            changed += without.max(with);
        }
        let found = align(&seed, &other);
        holds(&seed, &other, &found);
        prop_assert!(!found.given_up);
        let together: usize = found.blocks.iter().map(|block| block.length).sum();
        let best = seed.len().min(other.len());
        // Around each change a few equal ops may be left out.
        prop_assert!(together + 8 * changed >= best, "{together} of {best}");
        let common = seed.iter().zip(&other).take_while(|(one, two)| one == two).count();
        let gap = found.first_gap(seed.len(), other.len());
        let Some(Gap { reference, candidate }) = gap else {
            prop_assert_eq!(&seed, &other);
            return Ok(());
        };
        prop_assert_eq!((reference.start, candidate.start), (common, common));
    }

    #[test]
    fn one_insertion_or_deletion_is_named_exactly(
        seed in proptest::collection::vec(0u64..1_000_000, 1..600),
        at in 0usize..600,
        long in 1usize..5,
    ) {
        let at = at % (seed.len() + 1);
        let mut other = seed.clone();
        other.splice(at..at, (0..long).map(|new| 2_000_000 + new as u64));
        let gap = align(&seed, &other).first_gap(seed.len(), other.len());
        prop_assert_eq!(gap, Some(Gap { reference: at..at, candidate: at..at + long }));
        let gap = align(&other, &seed).first_gap(other.len(), seed.len());
        prop_assert_eq!(gap, Some(Gap { reference: at..at + long, candidate: at..at }));
    }
}

#[test]
fn sequences_with_nothing_in_common_end_soon() {
    let ours: Vec<u64> = (0..300_000).collect();
    let theirs: Vec<u64> = (1_000_000..1_300_000).collect();
    let found = align(&ours, &theirs);
    assert!(found.given_up && found.blocks.is_empty());
    // A loop of which one side has another part: nothing but repetition.
    let ours: Vec<u64> = (0..200_000).map(|at| at % 7).collect();
    let theirs: Vec<u64> = (0..200_000).map(|at| at % 11).collect();
    holds(&ours, &theirs, &align(&ours, &theirs));
}

#[test]
#[ignore = "a measurement: cargo test --release --no-default-features --test recorder -- --ignored"]
fn a_million_ops_are_read_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, change: &dyn Fn(&mut Vec<Op>)| {
        let mut ops = training(100_000);
        change(&mut ops);
        let path: &Path = &folder.path().join(name);
        std::fs::metadata(stream(1, &ops).write(path))
            .unwrap()
            .len()
    };
    let bytes = write("one", &|_| {});
    write("other", &|ops| {
        let at = find(ops, "aten::addmm", 50_000);
        spoil(ops, at);
    });
    for other in ["one", "other"] {
        let begin = std::time::Instant::now();
        let account = compare(&folder.path().join("one"), &folder.path().join(other)).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        // Past the capture of the test's output.
        let _ = writeln!(
            std::io::stderr(),
            "{} MiB, {} ops: {:.2?}; {peak}",
            bytes >> 20,
            account.compared.ops,
            begin.elapsed()
        );
    }
}
