package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
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

// extraFile is the name under which a child sees the first of its extra files.
const extraFile = "/proc/self/fd/3"

// runOpenFile makes a command run an open file, not the file that its path names
// when it starts. Without /proc it does nothing.
func runOpenFile(cmd *exec.Cmd, f *os.File) {
	if _, err := os.Stat("/proc/self/fd"); errors.Is(err, fs.ErrNotExist) {
		return
	}
	cmd.Path, cmd.ExtraFiles = extraFile, []*os.File{f}
}

// nameProcess gives this process its name in lists of processes: started from an
// open file, it has the name 3.
func nameProcess(name string) { _ = os.WriteFile("/proc/self/comm", []byte(name), 0) }
