//go:build !unix

package process

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) { _ = p.Kill() }

// endOthers does nothing: there are no process groups.
func endOthers(bool) {}

func writable(string) bool { return true }

// lockDir opens a folder: there are no locks.
func lockDir(path string) (*os.File, error) { return os.Open(path) }
