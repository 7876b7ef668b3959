//go:build unix && !linux

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// processAttributes puts a child in a process group of its own, so that it does
// not get the terminal's Ctrl-C.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// runOpenFile does nothing: a program can only be run by its path.
func runOpenFile(*exec.Cmd, *os.File) {}

func nameProcess(string) {}
