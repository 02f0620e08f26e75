//! A server that is there, and cut off from the others of its cluster: it takes nothing, and does not close a connection either.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;

use super::Inner;

/// Between two looks, while all is well.
const LOOK: Duration = Duration::from_secs(3);
/// Between two looks at the most, while no server of the cluster takes anything.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// Which server comes next is drawn, so it may be the same one: this many times another is asked at once, then more and more seldom.
const MOVES_AT_ONCE: u32 = 4;
/// Looks without an answer until another server is asked: a cluster that chooses its leader anew is silent for a moment.
const SILENT_MAX: u32 = 2;

impl Inner {
    /// Leaves a server that does not speak for its cluster any more, for one that does.
    pub async fn watch_cluster(self: Arc<Self>) {
        let client = self.context.client();
        if client.server_info().cluster.is_none() {
            return;
        }
        let (mut silent, mut moves) = (0, 0u32);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause_after(moves)) => (),
                () = self.stop.cancelled() => return,
            }
            // Without a connection the client looks for a server by itself.
            if client.connection_state() != State::Connected {
                silent = 0;
                continue;
            }
            let Err(error) = self.context.query_account().await else {
                (silent, moves) = (0, 0);
                continue;
            };
            silent += 1;
            if moves == 0 && silent < SILENT_MAX {
                continue;
            }
            let server = client.server_info();
            tracing::debug!("{} does not speak for its cluster: {error}", server.server_name);
            self.tell(
                "warning",
                format!(
                    "the server {} of the bus is cut off from its cluster: another one is asked",
                    server.server_name
                ),
            );
            // Not to be sent: the connection's task is gone, which the emulator's end explains.
            let _ = client.force_reconnect().await;
            (silent, moves) = (0, moves.saturating_add(1));
        }
    }
}

fn pause_after(moves: u32) -> Duration {
    let doublings = moves.saturating_sub(MOVES_AT_ONCE).min(8);
    (LOOK * 2_u32.pow(doublings)).min(LOOK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_server_is_asked_at_once_and_then_more_and_more_seldom() {
        let seconds = [0, 1, 4, 5, 6, 8, 9, u32::MAX].map(|moves| pause_after(moves).as_secs());
        assert_eq!(seconds, [3, 3, 3, 6, 12, 48, 60, 60]);
    }
}
