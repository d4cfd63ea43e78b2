//! The other commands' end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::time::Duration;

use super::{AskError, Asked, Next, Place, Reply, Request, VERSION, platform};

/// Asks the running program and gives each of its reply lines to `take`, until that says to stop.
///
/// `patience` is how long a line may take; none waits for ever, as for the end of a fetch.
pub fn ask(
    place: &Place,
    request: Request,
    patience: Option<Duration>,
    mut take: impl FnMut(Reply) -> Next,
) -> Result<(), AskError> {
    let mut stream = platform::connect(place, patience)?;
    let asked = serde_json::to_string(&Asked { version: VERSION, request }).map_err(io::Error::from)?;
    match stream.write_all(format!("{asked}\n").as_bytes()) {
        // It has refused us already, and said why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(AskError::Broken("it ended".to_owned()));
        }
        let reply: Reply = serde_json::from_str(&line)
            .map_err(|_| AskError::Broken("it speaks another version; restart it".to_owned()))?;
        if let Next::Stop = take(reply) {
            return Ok(());
        }
    }
}
