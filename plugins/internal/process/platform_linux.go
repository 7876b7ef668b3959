package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes puts a child in a process group of its own, so that it does not
// get the terminal's Ctrl-C. When the host is gone, the kernel kills the child.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// A plugin that uses this package notices that its host is gone, and ends in good
// order. If the plugin is stopped by a signal, the kernel continues it, so that it
// can.
//
// This is set in init, which runs on the thread to which the signal belongs.
func init() {
	if Launched() && unix.Getpgrp() == os.Getpid() {
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGCONT), 0, 0, 0)
	}
}
