//! What each mail server wants besides its files, for a person who does it for the first time.

use super::Server;

/// Texts hold lines to copy, and notes, which begin with `#`.
pub struct Guide {
    /// Packages, by Debian's names.
    pub needs: &'static str,
    /// Who starts `mailknock send`, and so reads the password.
    pub owner: &'static str,
    /// What a mailbox's user is called there.
    pub user: &'static str,
    /// Further directories and the like.
    pub first: &'static str,
    /// Of the password's file, for more than one user.
    pub more: &'static str,
    /// What makes the server see the files.
    pub then: &'static str,
    /// A delivery, what is seen of it, and where to look if nothing is.
    pub see: &'static str,
}

const DOVECOT_THEN: &str = "doveconf > /dev/null && doveadm reload
# The first says what is wrong in the settings, and else nothing. A mistake there could stop all mail.";

/// `mailknock send` takes no password from a file of another user's, but from root's.
macro_rules! for_more {
    ($own:literal) => {
        concat!(
            "# It is alice's alone. For more users make it root's, and let each read it (setfacl is in Debian's acl):
#   chown root /etc/mailknock/auth && setfacl -m u:alice:r,u:bob:r /etc/mailknock/auth
# Users with a desktop each need a send.toml and such a file each, ",
            $own
        )
    };
}

/// A delivery by whatever takes mail on that server.
macro_rules! mail {
    ($said:literal) => {
        concat!("printf 'From: bob@example.org\\nSubject: Test\\n\\nHello\\n' | sendmail alice\n", $said)
    };
}

const DOVECOT: Guide = Guide {
    needs: "Dovecot 2.3 or 2.4, which delivers by LMTP or dovecot-lda; it is in Debian's dovecot-core",
    owner: "root",
    user: "alice",
    first: "",
    more: "",
    then: DOVECOT_THEN,
    see: mail!(
        "# On the desktop a notification shows it. In Dovecot's log (`doveadm log find` says where) stands the delivery, and
# nothing of push-notification. If nothing comes, it says why: 401 is another password than the desktop's,
# `Connection refused`, that the tunnel or Mailknock is down. Nothing at all: the user's METADATA isn't set."
    ),
};

const DOVECOT_LUA: Guide = Guide {
    needs: "Dovecot 2.3.19 or later, or 2.4; it is in Debian's dovecot-core",
    see: mail!(
        "# On the desktop a notification shows it, which goes when the mail is read elsewhere. In Dovecot's log (`doveadm log
# find` says where) stands the delivery, and nothing of mailknock. If nothing comes, it says why: 401 is another
# password than the desktop's, 9003 or 9005, that the tunnel or Mailknock is down."
    ),
    ..DOVECOT
};

const SIEVE: Guide = Guide {
    needs: "Debian's dovecot-sieve, and Dovecot delivering by LMTP or dovecot-lda",
    owner: "vmail",
    user: "alice",
    first: "install -d /usr/lib/mailknock
ln -sfn /usr/bin/mailknock /usr/lib/mailknock/mailknock
# vmail is who owns the mail on the disk; where that is each user, it is alice, here and below.",
    more: "",
    then: "sievec /etc/dovecot/mailknock.sieve && doveconf > /dev/null && doveadm reload
# The first two say what is wrong, and else nothing.",
    see: mail!(
        "# If nothing comes, Dovecot's log (`doveadm log find` says where) may have a line with `pipe action`. Nothing at all:
# the script isn't run, or another file's settings replace these."
    ),
};

const MADDY: Guide = Guide {
    needs: "maddy, which is not in Debian",
    owner: "maddy",
    user: "alice@example.org",
    first: "",
    more: "",
    then: "systemctl restart maddy",
    see: "# Send one to alice@example.org from elsewhere, or, with a mail program that is set up for her, from herself: maddy
# has no `sendmail`. If nothing comes, maddy says nothing of it: set `log` in send.toml to a file in /var/lib/maddy, and
# look there.",
};

const EXIM: Guide = Guide {
    needs: "Debian's exim4-daemon-light or exim4-daemon-heavy",
    owner: "alice",
    user: "alice",
    first: "",
    more: for_more!("and a transport with another `-c` each."),
    then: "update-exim4.conf && exim4 -bt alice && systemctl reload exim4
# The first is Debian's. The second must name `router = mailknock, transport = mailknock_pipe` beside the delivery as it
# was; else the router stands in the wrong place.",
    see: mail!(
        "# Exim's log, /var/log/exim4/mainlog, has a line with T=mailknock_pipe for it. If there is one and nothing comes, set
# `log` in send.toml to a file that alice may write."
    ),
};

const POSTFIX: Guide = Guide {
    needs: "Debian's postfix",
    owner: "alice",
    user: "alice",
    first: "# For virtual users it is nobody, or better a user made for it, in place of alice: here, below, and in master.cf.",
    more: for_more!("named by `-c` in their own .forward."),
    then: "postfix check && postfix reload
# For ~/.forward neither is needed: it counts from the next mail on.",
    see: mail!(
        "# Postfix' log, /var/log/mail.log or `journalctl -u 'postfix*'`, has a line with mailknock for it and status=sent. If
# there is one and nothing comes, set `log` in send.toml to a file that who runs it may write."
    ),
};

const CYRUS: Guide = Guide {
    needs: "Debian's cyrus-imapd, version 3; its notifyd is in cyrus-common",
    owner: "cyrus",
    user: "alice",
    first: "install -d /usr/lib/mailknock
install -m 755 /dev/null /usr/lib/mailknock/mailknock-hook
# It is empty, and may be run, until the hook's text is in it.",
    more: "",
    then: "systemctl restart cyrus-imapd",
    see: mail!(
        "# If nothing comes, look for notify in /var/log/mail.log or `journalctl -u cyrus-imapd`, and set `log` in send.toml
# to a file that cyrus may write. Where notifyd doesn't run, its line is missing in /etc/cyrus.conf."
    ),
};

const PROCMAIL: Guide = Guide {
    needs: "Debian's procmail, and a mail server that delivers by it",
    owner: "alice",
    user: "alice",
    first: "",
    more: for_more!("named by `-c` in their own .procmailrc."),
    then: "",
    see: mail!(
        "# The recipe counts from the next mail on. If nothing comes, put LOGFILE=$HOME/procmail.log and VERBOSE=yes at the top
# of the file: the log tells which recipes matched, and what mailknock said."
    ),
};

const MAILDROP: Guide = Guide {
    needs: "Debian's maildrop, and a mail server that delivers by it",
    more: for_more!("named by `-c` in their own .mailfilter."),
    see: mail!(
        "# The filter counts from the next mail on. If nothing comes, put logfile \"$HOME/maildrop.log\" at its top, which tells
# of deliveries, and set `log` in send.toml to a file that alice may write."
    ),
    ..PROCMAIL
};

const FDM: Guide = Guide {
    needs: "Debian's fdm",
    more: "",
    see: "runuser -l alice -c 'fdm -v fetch'
# It runs as alice, with new mail waiting: it says what it does with each, and what failed. It counts from the next run on.",
    ..PROCMAIL
};

impl Guide {
    pub fn of(server: Server) -> Self {
        match server {
            // It has a page of its own.
            Server::Dovecot | Server::Ssh => DOVECOT,
            Server::DovecotLua => DOVECOT_LUA,
            Server::Sieve => SIEVE,
            Server::Maddy => MADDY,
            Server::Exim => EXIM,
            Server::Postfix => POSTFIX,
            Server::Cyrus => CYRUS,
            Server::Procmail => PROCMAIL,
            Server::Maildrop => MAILDROP,
            Server::Fdm => FDM,
        }
    }
}
