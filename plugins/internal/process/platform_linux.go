package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes put a child in a process group of its own, away from the
// terminal's Ctrl-C. When the host is gone, the kernel kills the child.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// A plugin that is made with this package notices by itself that its host is
// gone, and ends in good order. If somebody has stopped it, the kernel lets it
// go on, so that it does.
//
// This is set in init, which runs on the thread to which the signal belongs.
func init() {
	if Launched() && unix.Getpgrp() == os.Getpid() {
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGCONT), 0, 0, 0)
	}
}
