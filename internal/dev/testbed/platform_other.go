//go:build unix && !linux

package testbed

import "syscall"

// childAttributes puts a child in a separate process group. These systems have no
// parent-death signal: after a test program is killed, its servers keep running.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// stopped trusts the signal: these systems have no /proc to look at.
func stopped(int) error { return nil }

// holdPort holds nothing here: a collision shows as a failed bind, and the
// caller tries another port.
func holdPort(int) (release func() error, err error) {
	return func() error { return nil }, nil
}
