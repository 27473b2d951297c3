//! A door between the daemon and the world. Shut, it refuses connections, as a machine does that is down.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// Passes connections on while it is open.
pub(crate) struct Door {
    address: SocketAddr,
    to: SocketAddr,
    listener: Option<AbortHandle>,
    passed: Arc<Mutex<JoinSet<()>>>,
}

impl Door {
    /// An open door before `url`, which is `http://address` and perhaps a path.
    pub(crate) async fn before(url: &str) -> Self {
        let to = url.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut door = Self { address: listener.local_addr().unwrap(), to, listener: None, passed: Arc::default() };
        door.admit(listener);
        door
    }

    /// Where it stands.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses new connections; those that are through go on.
    pub(crate) async fn refuse_new(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Refuses new connections and ends the others.
    pub(crate) async fn shut(&mut self) {
        self.refuse_new().await;
        self.passed.lock().unwrap().abort_all();
    }

    /// Opens it again, in the same place.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.admit(listener);
    }

    fn admit(&mut self, listener: TcpListener) {
        let (passed, to) = (Arc::clone(&self.passed), self.to);
        let task = tokio::spawn(async move {
            while let Ok((inside, _)) = listener.accept().await {
                passed.lock().unwrap().spawn(pass(inside, to));
            }
        });
        self.listener = Some(task.abort_handle());
    }
}

async fn pass(mut inside: TcpStream, to: SocketAddr) {
    if let Ok(mut outside) = TcpStream::connect(to).await {
        // Either side may hang up at any time.
        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
    }
}
