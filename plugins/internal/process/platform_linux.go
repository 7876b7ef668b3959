package process

import "syscall"

// attributes put a child in a process group of its own, away from the
// terminal's Ctrl-C. When the host is gone, a child that somebody has stopped
// goes on, and sees that it is alone.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGCONT}
}
