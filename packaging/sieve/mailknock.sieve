# Mailknock with Dovecot's Sieve: new mail is told to a desktop. Put this file into /etc/dovecot as mailknock.sieve and
# compile it as root: sievec /etc/dovecot/mailknock.sieve. The settings for it are in sieve.conf, for each version.
#
# With :copy the mail is kept as if this were not here; with :try no failure counts.
require ["vnd.dovecot.pipe", "copy"];
pipe :copy :try "mailknock" ["send", "-c", "/etc/mailknock/send.toml", "--detach", "--folder=INBOX"];
