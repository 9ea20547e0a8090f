//! Connections: accepted as many as may be open, read within limits, and drained at the end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::endpoints;
use crate::running::Server;
use crate::tls::Tls;

/// The most headers, and bytes of them.
const HEADERS: (usize, usize) = (64, 32 << 10);

/// Answers until it is told to stop, and then what was begun.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Option<Tls>,
    mut stopped: watch::Receiver<bool>,
) {
    let most = server.options.max_connections.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let connections = Arc::new(Semaphore::new(most));
    let router = endpoints::router(Arc::clone(&server));
    loop {
        // Further clients wait with the system until a connection ends.
        let permit = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            permit = Arc::clone(&connections).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Too many open files, say: the next may be well.
                Err(_) => { tokio::time::sleep(std::time::Duration::from_millis(50)).await; continue }
            },
        };
        let _ = stream.set_nodelay(true);
        let (server, router, tls, stopped) = (Arc::clone(&server), router.clone(), tls.clone(), stopped.clone());
        tokio::spawn(async move {
            let _permit = permit;
            server.connections.fetch_add(1, Ordering::SeqCst);
            match tls {
                None => connection(&server, router, stream, stopped).await,
                Some(Tls(acceptor)) => {
                    if let Ok(Ok(stream)) = timeout(server.options.read_timeout, acceptor.accept(stream)).await {
                        connection(&server, router, stream, stopped).await;
                    }
                }
            }
            server.connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
    server.is_draining.store(true, Ordering::SeqCst);
    drop(listener);
    let _ = timeout(server.options.drain, connections.acquire_many(most as u32)).await;
}

async fn connection(
    server: &Server,
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(server.options.read_timeout)
            .max_headers(HEADERS.0)
            .max_buf_size(HEADERS.1)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
