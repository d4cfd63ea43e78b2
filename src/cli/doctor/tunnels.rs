//! Whether what the mail server sends arrives: the running program tries its tunnels; where none runs, we do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::trial::{Fault, TestEvent, Trial};
use super::{Program, Report, ask};
use crate::config::{Address, Config, Tunnel as Wish};
use crate::control::Request;
use crate::finding::Finding;
use crate::listener::{Doors, Identity, Knock, Listener, own};
use crate::paths;
use crate::process::{self, Exit, Job};
use crate::schema::{StatusJson, TunnelJson};
use crate::tunnel::{Standing, Tunnel, Wanted, diagnose, gets_any_port};

/// How long a tunnel may take until it stands, or says why not.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_WITH_A_VERSION: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub async fn look(config: Option<&Config>, running: &Program, trial: Option<&Trial<'_>>, report: &mut Report) {
    let wishes = config.map_or(&[][..], |config| &config.tunnels);
    let mut programs: Vec<&str> = Vec::new();
    let mut missing: Vec<&str> = Vec::new();
    for wish in wishes {
        if !programs.contains(&wish.ssh.as_str()) {
            programs.push(&wish.ssh);
            match version(&wish.ssh).await {
                Ok(version) => report.add(Finding::ok("ssh", version)),
                Err(why) => {
                    missing.push(&wish.ssh);
                    report.add(
                        Finding::failed("ssh", why).advise("install OpenSSH's client, or name it as `tunnel.ssh`"),
                    );
                }
            }
        }
    }
    let status = match running {
        Program::Runs(status) if !wishes.is_empty() || !status.tunnels.is_empty() => Some(probed().await),
        _ => None,
    };
    for wish in wishes {
        let name = config.map_or(wish.host.clone(), |config| config.name_of(wish));
        let title = title(Some(&name));
        let found = match (&status, running, config) {
            (Some(Some(status)), ..) => {
                match status.tunnels.iter().find(|tunnel| tunnel.host.as_ref() == Some(&name)) {
                    Some(tunnel) => standing(title.clone(), tunnel, trial).await,
                    None => Finding::warning(&title, "the running program goes by another configuration")
                        .advise("`mailknock reload`; and see its problems above"),
                }
            }
            (None, Program::Absent, Some(_)) if missing.contains(&wish.ssh.as_str()) => {
                Finding::unknown(&title, "could not be tried: there is no ssh")
            }
            (None, Program::Absent, Some(config)) => tried(title.clone(), config, wish, trial).await,
            _ => Finding::unknown(&title, "could not be tried: the running program, which has it, does not answer"),
        };
        let works = found.state == crate::finding::State::Ok;
        report.add(found);
        // The running program's may be of another ssh's making; what is asked for here is of the configuration's.
        if works && gets_any_port(wish).await == Some(true) {
            report.add(
                Finding::warning(&title, "the key may open any port of the mail server")
                    .advise("restrict it in authorized_keys, as `mailknock setup ssh` shows"),
            );
        }
    }
    for tunnel in status.iter().flatten().flat_map(|status| &status.tunnels) {
        if tunnel.host.is_none() {
            report.add(standing(title(None), tunnel, trial).await);
        }
    }
}

fn title(name: Option<&str>) -> String {
    name.map_or("tunnel that another program keeps up".to_owned(), |name| format!("tunnel to {name}"))
}

async fn version(ssh: &str) -> Result<String, String> {
    process::find(ssh)?;
    let job = Job { timeout: PATIENCE_WITH_A_VERSION, ..Job::new(vec![ssh.to_owned(), "-V".to_owned()]) };
    let (_stop, stopped) = watch::channel(false);
    let ended = process::run(job, |_| {}, stopped).await;
    let said = format!("{}{}", ended.stderr, ended.stdout);
    match (ended.exit, said.lines().next()) {
        (Exit::Code(0), Some(version)) => Ok(version.to_owned()),
        (exit, _) => Err(format!("`{ssh} -V`: {exit}")),
    }
}

/// How the running program's tunnels stand after it has tried them all. One that connects gets a while for it.
async fn probed() -> Option<StatusJson> {
    let begun = Instant::now();
    loop {
        let status = ask(Request::Probe).ok()?;
        let connects = status.tunnels.iter().any(|tunnel| tunnel.state == "connecting");
        if !connects || begun.elapsed() > PATIENCE {
            return Some(status);
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn standing(title: String, tunnel: &TunnelJson, trial: Option<&Trial<'_>>) -> Finding {
    let way = tunnel.probe.as_ref().and_then(|way| Address::parse(way).ok());
    match (tunnel.state.as_str(), &tunnel.why) {
        ("up", _) => match (trial, way) {
            (Some(trial), Some(way)) => up(title, trial.arrives(&way).await),
            _ => untried(title),
        },
        ("down", Some(why)) => down(title, why),
        ("asleep", _) => Finding::unknown(title, "it is ended until the machine is awake"),
        ("connecting", _) => Finding::failed(title, "ssh still connects"),
        (other, _) => Finding::failed(title, other),
    }
}

/// Something of ours came through; and an event, or not.
fn up(title: String, sent: Result<String, Fault>) -> Finding {
    match sent {
        Ok(arrived) => Finding::ok(title, format!("what the mail server sends arrives: {arrived}")),
        Err(fault) => fault.finding(title),
    }
}

fn untried(title: String) -> Finding {
    Finding::unknown(title, "what the mail server sends gets here; whether it is let in could not be tried, see above")
}

fn down(title: String, why: &str) -> Finding {
    let diagnosis = diagnose(why);
    let ladder = diagnosis.broke_at.map(crate::tunnel::Step::ladder);
    let advice: Vec<String> = ladder.into_iter().chain(diagnosis.advice).collect();
    let finding = Finding::failed(title, diagnosis.said);
    if advice.is_empty() { finding } else { finding.advise(advice.join("\n")) }
}

/// Keeps it up for a moment.
async fn tried(title: String, config: &Config, wish: &Wish, trial: Option<&Trial<'_>>) -> Finding {
    let Some(directory) = paths::runtime_directory() else {
        return Finding::unknown(title, "could not be tried: there is no runtime directory");
    };
    let was_there = directory.exists();
    let test = match TestEvent::new() {
        Ok(test) => test,
        Err(fault) => return fault.finding(title),
    };
    let (knock, knocks) = mpsc::channel(1);
    let found = match listen(config, &directory, knock).await {
        Err(why) => Finding::unknown(title, format!("could not be tried: {why}")),
        Ok((listener, doors, target, socket)) => {
            doors.password_is(trial.and_then(Trial::pass));
            let taking = tokio::spawn(test.clone().take(knocks));
            let (stop, stopped) = watch::channel(false);
            let serving = tokio::spawn(listener.serve(stopped));
            let (tell, mut told) = mpsc::unbounded_channel();
            let wanted = Wanted { config: wish.clone(), target, socket: socket.clone(), doors };
            let tunnel = Tunnel::keep(wanted, move |standing| drop(tell.send(standing)));
            let settled = async {
                loop {
                    match told.recv().await {
                        Some(Some(Standing::Up { .. })) => {
                            return match trial {
                                Some(trial) => up(title.clone(), trial.send(&socket, &test).await),
                                None => untried(title.clone()),
                            };
                        }
                        Some(Some(Standing::Down(why))) => return down(title.clone(), &why),
                        Some(_) => {}
                        None => return Finding::failed(title.clone(), "ssh could not be looked after"),
                    }
                }
            };
            let found = timeout(PATIENCE, settled).await;
            tunnel.end().await;
            stop.send_replace(true);
            let _ = serving.await;
            taking.abort();
            let _ = taking.await;
            found.unwrap_or_else(|_| Finding::failed(title.clone(), "nothing came through in 20 seconds"))
        }
    };
    if !was_there {
        let _ = std::fs::remove_dir(&directory);
    }
    found
}

/// A listener of ours, where it is, and where the way can be tried.
async fn listen(
    config: &Config,
    directory: &Path,
    knocks: mpsc::Sender<Knock>,
) -> Result<(Listener, Doors, Address, Address), String> {
    let identity = config.tls.as_ref().map(Identity::load).transpose().map_err(|problem| problem.to_string())?;
    let doors = Doors::new(config, identity.map(Arc::new), knocks);
    let (place, socket) = places(directory).map_err(|error| error.to_string())?;
    let listener = Listener::bind(&place, doors.clone()).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => "another `mailknock doctor` is at it".to_owned(),
        _ => error.to_string(),
    })?;
    let target = listener.address().map_err(|error| error.to_string())?;
    Ok((listener, doors, target, socket))
}

fn places(directory: &Path) -> std::io::Result<(Address, Address)> {
    Ok((own(directory, "doctor.sock")?, own(directory, "doctor-tunnel.sock")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::State;

    #[test]
    fn a_tunnel_that_is_down_says_how_far_it_got_and_what_to_do() {
        let found = down(
            "tunnel to m".to_owned(),
            "Error: remote port forwarding failed for listen port 7; the server does not give port 7: x",
        );
        assert_eq!(
            (found.state, found.said.as_str()),
            (State::Failed, "Error: remote port forwarding failed for listen port 7")
        );
        let advice = found.advice.unwrap();
        assert_eq!(advice.lines().next(), Some("mail server reached → host key known → key accepted → port NOT given"));
        let found = down("t".to_owned(), "nobody knows");
        assert_eq!((found.said.as_str(), found.advice), ("nobody knows", None));
    }
}
