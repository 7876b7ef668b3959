//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"
)

// killGroup kills a child and all that it has started and that is still in its
// group.
func killProcessGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// endOthers ends the other processes of this process's group, if the group is
// its own: what the plugin has started does not outlive it. A host that lives
// kills the group itself.
func endProcessGroup(hostGone bool) {
	if syscall.Getpgrp() != os.Getpid() {
		return
	}
	signal.Ignore(syscall.SIGTERM)
	_ = syscall.Kill(0, syscall.SIGTERM)
	if hostGone {
		_ = syscall.Kill(0, syscall.SIGKILL) // this process, too
	}
}

func isWritable(dir string) bool { return syscall.Access(dir, 2) == nil }

// lockDir locks a folder until the file is closed or this process ends. It
// fails if another process has locked it, or it is another user's.
func lockDir(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
