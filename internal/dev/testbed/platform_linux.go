package testbed

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"syscall"
)

// childAttributes puts a child in a separate process group, away from the
// terminal's Ctrl-C, and ties its life to the forking thread's.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// stopped returns nil when every thread of the process stands still.
func stopped(pid int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fatal(err)
	}
	for _, t := range threads {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, t.Name()))
		if err != nil {
			continue // the thread has ended
		}
		// "PID (NAME) STATE …": NAME may contain anything, even parentheses.
		i := bytes.LastIndex(stat, []byte(") "))
		if i < 0 || stat[i+2] != 'T' {
			return fmt.Errorf("thread %s of process %d still runs", t.Name(), pid)
		}
	}
	return nil
}

// holdPort keeps other test programs off a port, even while no server listens
// on it. An abstract socket lives in the same network namespace as the port,
// leaves no file, and goes away with this process.
func holdPort(port int) (release func() error, err error) {
	l, err := net.Listen("unix", fmt.Sprintf("@fairlead-testbed-port-%d", port))
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}
