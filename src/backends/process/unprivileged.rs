//! Who runs a database server where mxctl itself is root: PostgreSQL refuses to be, and MariaDB had better not.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::{User, geteuid};
use tokio::process::Command;

const NAME: &str = "nobody";

pub(super) struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    /// `None`: this process is an ordinary user's, and so are its children.
    pub fn find() -> Option<Unprivileged> {
        if !geteuid().is_root() {
            return None;
        }
        // Where there is no such user, its usual number serves as well: it owns nothing.
        let user = User::from_name(NAME).ok().flatten();
        let (uid, gid) = user.map_or((65_534, 65_534), |user| (user.uid.as_raw(), user.gid.as_raw()));
        Some(Unprivileged { uid, gid })
    }

    pub fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid).env("HOME", "/");
    }
}

/// Gives a folder to that user, who must be able to come to it; otherwise says what to do.
pub(super) fn give_away(folder: &Path, user: &Unprivileged) -> Result<(), String> {
    const ENTER: u32 = 0o001;
    let closed = |above: &&Path| above.metadata().is_ok_and(|met| met.mode() & ENTER == 0 && met.uid() != user.uid);
    if let Some(closed) = folder.ancestors().skip(1).find(closed) {
        return Err(format!(
            "it cannot run as root, and the user `{NAME}` cannot enter {}; run mxctl as an ordinary user, or give it a \
             `--reports` folder that everybody can enter",
            closed.display()
        ));
    }
    chown(folder, Some(user.uid), Some(user.gid)).map_err(|e| format!("give {} to `{NAME}`: {e}", folder.display()))
}
