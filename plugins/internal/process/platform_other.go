//go:build !unix

package process

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) { _ = p.Kill() }

// EndGroup does nothing: there are no process groups.
func EndGroup() {}

func writable(string) bool { return true }
