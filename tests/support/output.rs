//! What a program writes, line by line while it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard};

/// The lines of one stream. A thread reads them until the last writer is gone.
pub struct Output {
    read: Arc<Mutex<SoFar>>,
}

#[derive(Default)]
struct SoFar {
    lines: Vec<String>,
    complete: bool,
}

impl Output {
    pub fn read(stream: impl Read + Send + 'static) -> Output {
        let read: Arc<Mutex<SoFar>> = Arc::default();
        let output = Output { read: Arc::clone(&read) };
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // By bytes: a line that isn't UTF-8 must not end the reading.
            while matches!(stream.read_until(b'\n', &mut line), Ok(length) if length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                lock(&read).lines.push(text);
                line.clear();
            }
            lock(&read).complete = true;
        });
        output
    }

    pub fn lines(&self) -> Vec<String> {
        lock(&self.read).lines.clone()
    }

    pub fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Says whether all has been read that will ever come.
    pub fn is_complete(&self) -> bool {
        lock(&self.read).complete
    }
}

fn lock(read: &Mutex<SoFar>) -> MutexGuard<'_, SoFar> {
    read.lock().expect("its holders don't panic")
}
