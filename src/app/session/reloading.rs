//! Going on with another configuration, or not, and why not.

use super::*;

impl Session {
    pub(super) async fn reload_all(&mut self) {
        for (asked, reply) in std::mem::take(&mut self.reloads) {
            let reloaded = self.reload(asked).await;
            let (input, answer) = match reloaded {
                Ok(input) => (input, Reply::done()),
                Err(problems) => {
                    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    (Input::NotReloaded(problems), Reply::failed(told.join("\n")))
                }
            };
            let is_new = matches!(input, Input::Reloaded { .. });
            self.turn([input]);
            if is_new {
                tracing::info!("configuration reloaded");
            }
            if let Some(reply) = reply {
                // Whoever asked has gone.
                let _ = reply.send(answer);
            }
        }
    }

    /// Reads the file and goes by it from now on, or changes nothing and says why.
    async fn reload(&mut self, asked: Asked) -> Result<Input, Vec<Problem>> {
        let (config, warnings) = self.read_configuration(asked)?;
        let config = Arc::new(config);
        match &mut self.listening {
            Some(listening) if config.listen == self.config.listen => listening.reconfigure(&config),
            _ => {
                // The new address is bound before the old one is let go.
                let opened = match Listening::open(&config, &self.knock).await {
                    Err(error) if is_in_use(&error) && self.is_in_its_own_way(&config) => {
                        self.listen_instead(&config).await
                    }
                    opened => opened,
                };
                let opened = opened.map_err(|error| vec![Problem::error(format!("{error:#}"))])?;
                if let Some(old) = self.listening.replace(opened) {
                    // It ends by itself, after its last answers.
                    drop(old.close());
                }
            }
        }
        if self.wanted.tray && self.config.tray.enabled && !config.tray.enabled {
            self.link.send(Request::HideTray);
        }
        self.app.want_tray(self.wanted.tray && config.tray.enabled);
        if let Some(record) = &mut self.record {
            record.retain(config.history);
        }
        self.config = config.clone();
        self.stand();
        Ok(Input::Reloaded { config, warnings })
    }

    /// `0.0.0.0:1` can't be bound while `127.0.0.1:1` is, nor the other way round.
    fn is_in_its_own_way(&self, config: &Config) -> bool {
        self.listening.as_ref().is_some_and(|listening| listening.address().port() == config.listen.port())
    }

    /// Lets the old address go first; it comes back where the new one can't be had.
    async fn listen_instead(&mut self, config: &Config) -> anyhow::Result<Listening> {
        let before = self.listening.take().map(|old| {
            let address = old.address();
            drop(old.close());
            Config { listen: address, ..(*self.config).clone() }
        });
        let opened = self.listen_soon(config).await;
        if opened.is_err()
            && let Some(before) = before
        {
            self.listening = self.listen_soon(&before).await.ok();
            self.stand();
        }
        opened
    }

    /// The old socket is closed in a moment, by its own task.
    async fn listen_soon(&self, config: &Config) -> anyhow::Result<Listening> {
        let given_up = Instant::now() + Duration::from_secs(1);
        loop {
            match Listening::open(config, &self.knock).await {
                Err(error) if is_in_use(&error) && Instant::now() < given_up => {
                    tokio::time::sleep(Duration::from_millis(10)).await
                }
                opened => return opened,
            }
        }
    }

    fn read_configuration(&self, asked: Asked) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        let Some(file) = &self.config_file else {
            return Err(vec![Problem::error("there is no configuration file")]);
        };
        let name = crate::paths::display(file);
        let keep = |why: String| {
            let suggestion = "if that is meant, run `mailknock reload`";
            Err(vec![Problem::error(format!("{name}: {why}; the old configuration stays")).suggest(suggestion)])
        };
        let is_there = std::fs::metadata(file).is_ok_and(|found| found.len() > 0);
        // A file that is just being written is empty, gone or cut short; without its end it may let everybody in.
        if asked == Asked::ByFile && !is_there && self.listening.is_some() {
            return keep("it is empty or gone".to_owned());
        }
        if !file.exists() {
            return Ok((Config::default(), Vec::new()));
        }
        let (config, problems) = Config::load(file);
        let Some(config) = config else { return Err(problems) };
        if asked == Asked::ByFile
            && self.listening.is_some()
            && let Some(why) = config.is_wider_than(&self.config)
        {
            return keep(why.to_owned());
        }
        Ok((config, problems))
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    let error = error.root_cause().downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}
