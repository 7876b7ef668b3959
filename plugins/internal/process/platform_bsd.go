//go:build unix && !linux

package process

import "syscall"

// attributes put a child in a process group of its own, away from the
// terminal's Ctrl-C.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
