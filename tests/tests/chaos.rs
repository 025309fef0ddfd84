//! The chaos proxy does what it is told: a harm that harms nothing would make every test of recovery pass.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use leveret_tests::{Chaos, Harm, Way};

/// A server that sends back what it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn open(chaos: &Chaos) -> TcpStream {
    let stream = TcpStream::connect(chaos.address()).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    stream
}

fn echoes(mut stream: &TcpStream, text: &[u8]) {
    stream.write_all(text).expect("the connection lives");
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).expect("it all comes back");
    assert_eq!(back, text);
}

/// Whatever still comes until the end, be it a close or a reset.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let (mut all, mut byte) = (Vec::new(), [0]);
    loop {
        match stream.read(&mut byte) {
            Ok(1) => all.push(byte[0]),
            Ok(_) => return all,
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no end came");
                return all;
            }
        }
    }
}

#[test]
fn delays_and_single_bytes_change_nothing_that_arrives() {
    let chaos = Chaos::start(echo(), 7);
    chaos.harm(Harm { delay_max: Duration::from_millis(2), one_byte_writes: true, ..Harm::default() });
    echoes(&open(&chaos), b"slow but whole");
}

#[test]
fn a_connection_ends_after_exactly_so_many_bytes() {
    let chaos = Chaos::start(echo(), 7);
    chaos.harm(Harm { cut_after: Some((Way::ToClient, 5)), ..Harm::default() });
    let stream = open(&chaos);
    (&stream).write_all(b"0123456789").unwrap();
    assert_eq!(rest(&stream), b"01234");
}

#[test]
fn a_cut_ends_what_exists_and_not_what_comes() {
    let chaos = Chaos::start(echo(), 7);
    let stream = open(&chaos);
    echoes(&stream, b"before");
    chaos.cut();
    assert_eq!(rest(&stream), b"");
    echoes(&open(&chaos), b"after");
}

#[test]
fn refused_connections_end_at_once_and_later_ones_live() {
    let chaos = Chaos::start(echo(), 7);
    chaos.harm(Harm { refuse: true, ..Harm::default() });
    assert_eq!(rest(&open(&chaos)), b"");
    chaos.harm(Harm::default());
    echoes(&open(&chaos), b"again");
}

#[test]
fn what_is_stalled_arrives_when_the_stall_ends() {
    let chaos = Chaos::start(echo(), 7);
    let mut stream = open(&chaos);
    echoes(&stream, b"before");
    chaos.harm(Harm { stalled: Some(Way::ToClient), ..Harm::default() });
    stream.write_all(b"held").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.read(&mut [0; 4]).expect_err("nothing comes while it is stalled");
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    chaos.harm(Harm::default());
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"held");
}
