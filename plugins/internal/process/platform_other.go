//go:build !unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

func processAttributes() *syscall.SysProcAttr { return nil }

func killProcessGroup(p *os.Process) { _ = p.Kill() }

// endProcessGroup does nothing: there are no process groups.
func endProcessGroup(bool) {}

func isWritable(string) bool { return true }

// lockDir opens a folder: there are no locks.
func lockDir(path string) (*os.File, error) { return os.Open(path) }

// runOpenFile does nothing: a program can only be run by its path.
func runOpenFile(*exec.Cmd, *os.File) {}

func nameProcess(string) {}
