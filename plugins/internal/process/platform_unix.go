//go:build unix

package process

import (
	"os"
	"syscall"
)

// killGroup kills a child and all that it has started and that is still in its
// group.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// EndGroup kills the process group of this process, and with it this process,
// if the group is its own; else it does nothing.
func EndGroup() {
	if syscall.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
}

func writable(dir string) bool { return syscall.Access(dir, 2) == nil }
