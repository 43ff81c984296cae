//! Clients that ask all the time, of which none may lose a request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{pod::Pod, web::KeepAlive};

/// Some that close each connection and some that keep theirs, busy and idle.
pub(crate) struct Traffic {
    ended: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    clients: JoinSet<Result<(), String>>,
}

impl Traffic {
    pub(crate) fn start(pod: &Pod) -> Self {
        let (ended, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for (close, pause) in [(true, 1), (true, 2), (false, 0), (false, 1), (false, 20), (false, 50)] {
            let (ended, answers, mut client) = (ended.clone(), answers.clone(), KeepAlive::new(pod.web(), close));
            clients.spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    if let Err(error) = client.get("/").await {
                        return Err(format!("close {close}, pause {pause}: {error}"));
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Ok(())
            });
        }
        Self { ended, answers, clients }
    }

    /// Ends all clients; how many requests were answered, which is all.
    pub(crate) async fn end_without_loss(mut self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            assert_eq!(client.expect("ended"), Ok(()), "after {} answers", self.answers.load(Ordering::Relaxed));
        }
        let answers = self.answers.load(Ordering::Relaxed);
        assert!(answers > 100, "{answers} answers");
        answers
    }
}
