//go:build unix && !linux

package process

import "syscall"

// processAttributes puts a child in a process group of its own, so that it does
// not get the terminal's Ctrl-C.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
