//! Writes warnings: as files that a mail program can open (the default, which sends nothing), or over SMTP.

use crate::error::Error;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{Address, AsyncTransport, Message, Tokio1Executor};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who the warnings are from unless another is named.
pub const SENDER: &str = "cruncher@localhost";

/// How long an SMTP server may take for each step.
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);
/// How many files for one address a folder may hold.
const FILES_PER_ADDRESS_MAX: u32 = 10_000;
/// Longest file name made from an address. Every file system takes 255 bytes.
const FILE_NAME_BYTES_MAX: usize = 200;

/// Where warnings go.
#[derive(Debug, Clone)]
pub enum Post {
    /// Into this folder, as `.eml` files.
    Folder(PathBuf),
    /// To this mail server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// Why a warning was not written.
#[derive(Debug)]
pub enum Failure {
    /// No mail can go to this address, now or later.
    Undeliverable(String),
    /// It may work another time.
    Failed(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Undeliverable(why) | Failure::Failed(why) => f.write_str(why),
        }
    }
}

impl Post {
    /// A folder, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(path: &Path) -> Result<Post, Error> {
        let made = std::fs::create_dir_all(path);
        made.map_err(|source| Error::File { what: format!("make the folder {}", path.display()), source })?;
        Ok(Post::Folder(path.to_owned()))
    }

    /// A mail server: `smtp://host:port`, `smtps://user:password@host`, `smtp://host?tls=required`.
    ///
    /// # Errors
    /// When the URL makes no sense.
    pub fn smtp(url: &str) -> Result<Post, Error> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let server = server.map_err(|why| Error::Usage(format!("--smtp: {why}")))?;
        Ok(Post::Smtp(server.timeout(Some(SMTP_TIMEOUT)).build()))
    }

    /// Warns `local_part@domain`, and tells where the warning went.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn warn(&self, sender: &Mailbox, local_part: &str, domain: &str) -> Result<String, Failure> {
        let message = compose(sender, local_part, domain)?;
        match self {
            Post::Folder(folder) => {
                let path = keep(folder, &format!("{local_part}@{domain}"), &message.formatted());
                path.map(|path| path.display().to_string()).map_err(|why| Failure::Failed(why.to_string()))
            }
            Post::Smtp(server) => match server.send(message).await {
                Ok(_) => Ok("the mail server".to_owned()),
                Err(why) => Err(Failure::Failed(with_sources(&why))),
            },
        }
    }
}

fn compose(sender: &Mailbox, local_part: &str, domain: &str) -> Result<Message, Failure> {
    let undeliverable = |why: &dyn fmt::Display| Failure::Undeliverable(why.to_string());
    let address = Address::new(local_part, domain).map_err(|why| undeliverable(&why))?;
    let body = format!(
        "Hello {local_part},\r\n\r\nyour address {address} stands in a letter that others can read.\r\n\
         Programs that send spam find it as easily as we did.\r\n\r\nThe email cruncher\r\n"
    );
    Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(None, address))
        .subject("Your address can be found")
        .header(ContentType::TEXT_PLAIN)
        .body(body)
        .map_err(|why| undeliverable(&why))
}

/// Writes a file of its own for `address`; none that exists is touched.
fn keep(folder: &Path, address: &str, message: &[u8]) -> io::Result<PathBuf> {
    let name = file_name(address);
    for number in 1..=FILES_PER_ADDRESS_MAX {
        let path = match number {
            1 => folder.join(format!("{name}.eml")),
            _ => folder.join(format!("{name}-{number}.eml")),
        };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let written = file.write_all(message);
                // Half a mail is worse than none.
                return written.map(|()| path.clone()).inspect_err(|_| drop(std::fs::remove_file(&path)));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("more than {FILES_PER_ADDRESS_MAX} warnings for {name}")))
}

/// A file name that stays in its folder, whatever the address is: anything unusual is percent-encoded.
fn file_name(address: &str) -> String {
    let mut name = String::new();
    for (at, byte) in address.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"@_+-".contains(&byte) || (byte == b'.' && at > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
        if name.len() >= FILE_NAME_BYTES_MAX {
            break;
        }
    }
    name
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> Mailbox {
        SENDER.parse().unwrap()
    }

    #[tokio::test]
    async fn a_warning_is_a_mail_that_can_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let post = Post::folder(&folder.path().join("new")).unwrap();
        let path = post.warn(&sender(), "ann", "apple.com").await.unwrap();
        let mail = std::fs::read_to_string(&path).unwrap();
        assert!(path.ends_with("ann@apple.com.eml"), "{path}");
        assert!(mail.contains("To: ann@apple.com\r\n") && mail.contains("Hello ann,"), "{mail}");
    }

    #[tokio::test]
    async fn no_warning_overwrites_another() {
        let folder = tempfile::tempdir().unwrap();
        let post = Post::folder(folder.path()).unwrap();
        let mut paths = Vec::new();
        for _ in 0..3 {
            paths.push(post.warn(&sender(), "ann", "apple.com").await.unwrap());
        }
        paths.dedup();
        assert_eq!(paths.len(), 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn an_address_that_no_mail_reaches_is_undeliverable() {
        let folder = tempfile::tempdir().unwrap();
        let post = Post::folder(folder.path()).unwrap();
        for local_part in ["", "a..b", "a b", "a\r\nBcc: everyone", "a@b"] {
            let failure = post.warn(&sender(), local_part, "apple.com").await.unwrap_err();
            assert!(matches!(failure, Failure::Undeliverable(_)), "{local_part}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_slash_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let post = Post::folder(folder.path()).unwrap();
        let path = post.warn(&sender(), "/etc/../x", "apple.com").await.unwrap_or_default();
        assert!(path.is_empty() || Path::new(&path).parent() == Some(folder.path()), "{path}");
        assert_eq!(file_name("../a/b@apple.com"), "%2E.%2Fa%2Fb@apple.com");
        assert!(file_name(&"\u{fc}".repeat(500)).len() <= FILE_NAME_BYTES_MAX + 3);
    }

    #[tokio::test]
    async fn a_missing_mail_server_is_a_failure_that_may_pass() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let post = Post::smtp(&format!("smtp://127.0.0.1:{port}")).unwrap();
        let failure = post.warn(&sender(), "ann", "apple.com").await.unwrap_err();
        assert!(matches!(failure, Failure::Failed(_)), "{failure}");
        assert!(Post::smtp("http://mail").is_err());
    }
}
