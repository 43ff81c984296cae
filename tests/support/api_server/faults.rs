//! What goes wrong, and the log of what was asked.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::Request;

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// It is refused with this HTTP status.
    Fail(u16),
    /// It is performed later.
    Delay(Duration),
    /// The connection breaks before it is performed.
    DropRequest,
    /// It is performed, and the connection breaks before the answer.
    DropReply,
    /// Nothing happens, ever.
    Hang,
    /// It is performed, the test is told, and no answer comes: here the client is to be killed.
    Crash(Arc<Notify>),
}

/// Something that goes wrong.
pub(crate) struct Fault {
    what: What,
    on: Box<dyn Fn(&Request) -> bool + Send>,
    skip: usize,
    times: usize,
}

impl Fault {
    /// It happens to every request.
    pub(crate) fn new(what: What) -> Self {
        Self { what, on: Box::new(|_| true), skip: 0, times: usize::MAX }
    }

    /// It happens to requests of which `on` is true.
    pub(crate) fn on(mut self, on: impl Fn(&Request) -> bool + Send + 'static) -> Self {
        self.on = Box::new(on);
        self
    }

    /// It happens to the one after the first `skip` alone.
    pub(crate) fn nth(mut self, skip: usize) -> Self {
        (self.skip, self.times) = (skip, 1);
        self
    }

    /// It happens so many times.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

#[derive(Default)]
pub(super) struct Faults {
    pub(super) log: Vec<Request>,
    faults: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Logs a request; what goes wrong with it.
    pub(super) fn judge(&mut self, request: &Request) -> Option<What> {
        self.log.push(request.clone());
        for fault in &mut self.faults {
            if !(fault.on)(request) || fault.times == 0 {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            return Some(fault.what.clone());
        }
        None
    }
}
