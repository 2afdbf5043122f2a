//! Tests: the least of a client of the API server that a pod needs to say something about itself, and to ask about a caller.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers one request with `answer`; what was asked comes back.
fn serve(
    answer: &'static str,
) -> (impl AsyncRead + AsyncWrite + Unpin + Send + 'static, tokio::task::JoinHandle<String>) {
    let (client, mut server) = tokio::io::duplex(64 * 1024);
    let asked = tokio::spawn(async move {
        let mut asked = vec![0; 4096];
        let len = server.read(&mut asked).await.unwrap();
        server.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..len]).into_owned()
    });
    (client, asked)
}

fn api() -> ApiServer {
    ApiServer { host: "fd00::1".to_owned(), port: 443, files: "/nowhere".into() }
}

#[tokio::test]
async fn an_object_is_posted_with_the_token() {
    let (stream, asked) = serve("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}");
    api().post(stream, "/apis/x", "secret", "{\"a\":1}".to_owned()).await.unwrap();
    let asked = asked.await.unwrap();
    for part in
        ["POST /apis/x HTTP/1.1\r\n", "host: [fd00::1]:443\r\n", "authorization: Bearer secret\r\n", "{\"a\":1}"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[tokio::test]
async fn a_refusal_carries_the_sentence_of_the_status() {
    let (stream, _) =
        serve("HTTP/1.1 403 Forbidden\r\ncontent-length: 32\r\n\r\n{\"message\":\"events is forbidden\"}");
    let error = api().post(stream, "/apis/x", "secret", String::new()).await.unwrap_err();
    assert!(matches!(error, ApiError::Refused(StatusCode::FORBIDDEN, _)), "{error}");
    let error = error.to_string();
    assert!(error.contains("events is forbidden"), "{error}");
}

#[tokio::test]
async fn a_missing_token_is_named_with_its_file_and_remedy() {
    let error = api().create("/apis/x", String::new()).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/token") && error.contains("automountServiceAccountToken"), "{error}");
}

/// An API server with a certificate for 127.0.0.1, and a pod's files that trust it.
async fn over_tls(answer: &'static str) -> (ApiServer, tempfile::TempDir, tokio::task::JoinHandle<String>) {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("ca.crt"), certificate.pem()).unwrap();
    std::fs::write(files.path().join("token"), "secret\n").unwrap();
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let mut asked = vec![0; 4096];
        let len = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8_lossy(&asked[..len]).into_owned()
    });
    (ApiServer { host: "127.0.0.1".to_owned(), port, files: files.path().to_path_buf() }, files, asked)
}

#[tokio::test]
async fn the_api_server_is_known_by_the_bundle_of_the_pod() {
    let (api, _files, asked) = over_tls("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}").await;
    api.create("/apis/x", "{}".to_owned()).await.unwrap();
    assert!(asked.await.unwrap().contains("authorization: Bearer secret\r\n"));
}

#[tokio::test]
async fn another_server_in_its_place_is_sent_nothing() {
    let (trusted, _files, _) = over_tls("").await;
    let (other, _other_files, asked) = over_tls("").await;
    let fooled = ApiServer { port: other.port, ..trusted.clone() };
    let error = fooled.create("/apis/x", "{}".to_owned()).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached") && error.contains("certificate"), "{error}");
    assert!(asked.await.is_err(), "the handshake failed before a request");
}
