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
        let certificate = self.certificate_for(&config).map_err(|problem| vec![problem])?;
        let identity = certificate.as_ref().map(Certificate::identity);
        let said = |error: anyhow::Error| vec![Problem::error(format!("{error:#}"))];
        let prepared = match &self.listening {
            Some(listening) => Some(listening.prepare(&config).await.map_err(said)?),
            None => None,
        };
        // Before the listener that they lead to closes.
        self.tunnels.end_unwanted(&config, self.listening.as_ref()).await;
        let opened = match self.listening.as_mut().zip(prepared) {
            Some((listening, prepared)) => listening.change(prepared, &config, identity).await,
            None => match Listening::open(&config, identity, &self.knock).await {
                Ok(listening) => {
                    self.listening = Some(listening);
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        // Where old addresses could not be had again either, there are fewer now.
        self.stand();
        if let Err(error) = opened {
            self.begin_tunnels().await;
            return Err(said(error));
        }
        self.certificate = certificate;
        if self.wanted.tray && self.config.tray.enabled && !config.tray.enabled {
            self.link.send(Request::HideTray);
        }
        self.app.want_tray(self.wanted.tray && config.tray.enabled);
        if let Some(record) = &mut self.record {
            record.retain(config.history);
        }
        self.config = config.clone();
        self.begin_tunnels().await;
        self.obtain_password();
        self.report_listener();
        self.stand();
        Ok(Input::Reloaded { config, warnings })
    }

    /// The certificate that a configuration asks for; the one in use where it can't be had.
    fn certificate_for(&self, config: &Config) -> Result<Option<Certificate>, Problem> {
        let load = |tls| Certificate::load(tls, self.certificate.as_ref(), Timestamp::now());
        config.tls.as_ref().map(load).transpose()
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
