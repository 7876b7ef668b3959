//go:build unix && !linux

package testbed

import "syscall"

// childAttributes puts a child in a process group of its own. These systems
// have no parent-death signal: a killed test program leaves its servers behind.
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
