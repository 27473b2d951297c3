//! What people must know: finds it out, fires and resolves alerts, and sends what is owed to every channel.
//!
//! [`evaluator`] reads the log and compares what holds with what was told; [`fan_out`] puts each event into the queues of the
//! channels that want it; [`deliver`] empties those queues. [`unwritable_alarm`] tells what cannot be written, [`heartbeat`]
//! tells an outside service that all is well, [`digest`] sums up a day. It reads the engine's state, and the engine knows
//! nothing of it.

pub mod deliver;
pub mod digest;
pub mod evaluator;
pub mod fan_out;
pub mod heartbeat;
pub mod unwritable_alarm;
