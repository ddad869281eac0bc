//! *Same seed, same code, same machine: do you get the same bits?*
//!
//! samebits runs a training workload several times in fresh processes, compares every tensor bit for bit, names the first
//! place where the runs part, and proves that its own alarm works. A workload is one of those
//! built in, or a program of your own that implements `samebits_torch::Workload`. Nothing here links libtorch: that is the part
//! of the crate `samebits-torch`, whose program this one starts to train.
//!
//! The map, in reading order; a module uses only those above it:
//!
//! - [`error`]: every way we fail to judge; a divergence is a result, never an error
//! - [`number`]: floats that JSON can carry
//! - [`dtype`]: the element types of libtorch
//! - [`element`]: one element's bits, as a number and as a place in the order of numbers
//! - [`digest`]: the order-sensitive hash that stands for a tensor
//! - [`ffi`]: the only door to unsafe code
//! - [`seed`]: the one number, and the named streams derived from it
//! - [`knob`]: the table of everything outside a workload that can decide agreement
//! - [`spec`]: everything that decides one run
//! - [`fingerprint`]: the hardware and software stack, and what differs between two
//! - [`doctor`]: what works here, what is missing, how to get it
//! - [`summary`]: a tensor at a glance
//! - [`trace`]: the entries of one run, as a folder
//! - [`workload`]: the table of training programs built in
//! - [`process`]: child processes, and the end of the whole tree
//! - [`child`]: what an audit and the processes that train for it say to each other
//! - [`runner`]: the program that links libtorch, and what it says of it
//! - [`evidence`]: files as keyed tensors
//! - [`tolerance`]: when two values count as the same
//! - [`rules`]: which names are compared and how closely, and the exceptions with their reasons
//! - [`difference`]: two tensors, element by element
//! - [`compare`]: two traces, entry by entry
//! - [`substance`]: whether there was anything to compare
//! - [`verdict`]: what a comparison amounts to, and exit codes
//! - [`claim`]: what agreement of N runs proves, and how many runs a claim needs
//! - [`recorder`]: what two runs did, op by op, and why they part
//! - [`report`]: all that a renderer may see, and the renderers
//! - [`diff`]: two files or folders into one verdict
//! - [`control`]: cases whose verdict is known beforehand
//! - [`gate`]: any command, several times, and what it wrote compared
//! - [`audit`]: the story of the main command

pub mod error;

pub mod number;

pub mod dtype;

pub mod element;

pub mod digest;

pub mod ffi;

pub mod seed;

pub mod knob;

pub mod spec;

pub mod fingerprint;

pub mod doctor;

pub mod summary;

pub mod trace;

pub mod workload;

pub mod process;

pub mod child;

pub mod runner;

pub mod evidence;

pub mod tolerance;

pub mod rules;

pub mod difference;

pub mod compare;

pub mod substance;

pub mod verdict;

pub mod claim;

pub mod recorder;

pub mod report;

pub mod diff;

pub mod control;

pub mod gate;

pub mod audit;
