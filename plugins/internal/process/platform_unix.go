//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"
)

// killProcessGroup kills a child and all processes in its group.
func killProcessGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// endProcessGroup ends the other processes of this process's group, if the group is
// its own: processes that the plugin has started do not outlive it. A host that
// still runs kills the group itself.
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

// lockDir locks a folder until the file is closed or this process ends. It fails if
// another process has locked the folder, or if it belongs to another user.
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
