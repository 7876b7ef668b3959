package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// startTimeout bounds Start when neither the caller's context nor the
	// server's own patience does.
	startTimeout = 60 * time.Second
	// endTimeout bounds the wait for a killed process to be gone.
	endTimeout = time.Minute
	// pollInterval is the pause between two looks at a condition.
	pollInterval = 10 * time.Millisecond
	// logTail is the most that Log returns, in bytes.
	logTail = 16 << 10
)

// processSpec describes a server program.
type processSpec struct {
	path string   // the program
	args []string // without the program's name
	dir  string   // working folder; the log is in it as well
	env  []string // "name=value", in addition to our own

	// patience bounds Start when the caller's context does not; 0 for
	// startTimeout.
	patience time.Duration

	// ready returns nil as soon as the server answers. It makes one attempt,
	// and is called again until it succeeds or the process ends.
	ready func(ctx context.Context) error
}

// Process is a server in a separate process. It can be started, stopped and
// killed any number of times; its folder, and so its data, stays until Close.
//
// All methods may be called from any goroutine. Those that change the state of
// the process run one after the other.
type Process struct {
	spec    processSpec
	busy    chan struct{} // holds a token while a method changes the state
	current atomic.Pointer[run]
}

// run is one life of a process.
type run struct {
	pid    int
	exited chan struct{} // closed when the process has been reaped
	state  string        // how it ended; read after exited is closed
}

func (r *run) alive() bool {
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

func newProcess(spec processSpec) *Process {
	return &Process{spec: spec, busy: make(chan struct{}, 1)}
}

// Start starts the server, and returns when it answers. It is an error if the
// server runs already. When Start fails, no process is left. The error then
// holds the end of the server's log.
func (p *Process) Start(ctx context.Context) error {
	return p.exclusively(ctx, p.start)
}

// Stop asks the server to end (SIGTERM) and waits until it has. A paused server
// is continued first. A server that does not run is no error. When ctx ends
// first, the server keeps running.
func (p *Process) Stop(ctx context.Context) error {
	return p.exclusively(ctx, func(ctx context.Context) error {
		return p.end(ctx, syscall.SIGTERM, syscall.SIGCONT)
	})
}

// Kill ends the server without warning (SIGKILL), even a paused one, and waits
// until it is gone. A server that does not run is no error.
func (p *Process) Kill(ctx context.Context) error {
	return p.exclusively(ctx, func(ctx context.Context) error {
		return p.end(ctx, syscall.SIGKILL)
	})
}

// Restart is Stop followed by Start: same folder, same port.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Pause freezes the server (SIGSTOP) and returns when it stands still: its
// sockets stay open, and nothing answers.
func (p *Process) Pause(ctx context.Context) error {
	return p.exclusively(ctx, func(ctx context.Context) error {
		r, err := p.signal(syscall.SIGSTOP)
		if err != nil {
			return err
		}
		return poll(ctx, func(context.Context) error { return stopped(r.pid) })
	})
}

// Continue resumes a paused server (SIGCONT).
func (p *Process) Continue(ctx context.Context) error {
	return p.exclusively(ctx, func(context.Context) error {
		_, err := p.signal(syscall.SIGCONT)
		return err
	})
}

// PID is the process id of the running server, or 0.
func (p *Process) PID() int {
	if r := p.current.Load(); r != nil && r.alive() {
		return r.pid
	}
	return 0
}

// Running says whether the process exists; a paused one does.
func (p *Process) Running() bool { return p.PID() != 0 }

// Dir is the server's working folder. Close removes it.
func (p *Process) Dir() string { return p.spec.dir }

// Log is the end of the server's output, over all its restarts.
func (p *Process) Log() string {
	f, err := os.Open(p.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		_, _ = f.Seek(-logTail, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}

func (p *Process) logPath() string { return filepath.Join(p.spec.dir, "log") }

// exclusively runs f while no other method changes the state of the process.
func (p *Process) exclusively(ctx context.Context, f func(context.Context) error) error {
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return p.wrap(context.Cause(ctx))
	}
	defer func() { <-p.busy }()
	if err := f(ctx); err != nil {
		return p.wrap(err)
	}
	return nil
}

func (p *Process) wrap(err error) error {
	return fmt.Errorf("testbed: %s: %w", filepath.Base(p.spec.path), err)
}

func (p *Process) start(ctx context.Context) error {
	if p.Running() {
		return errors.New("it is running already")
	}
	r, err := p.launch()
	if err != nil {
		return err
	}
	p.current.Store(r)
	if err := p.awaitReady(ctx, r); err != nil {
		_ = p.destroy()
		return fmt.Errorf("%w\n--- end of its log ---\n%s", err, p.Log())
	}
	return nil
}

// launch starts the program.
//
// The kernel sends the parent-death signal when the *thread* that forked ends.
// So the goroutine that forks stays locked to its thread until the child is
// gone; it is the one that waits for the child, and costs no extra thread.
func (p *Process) launch() (*run, error) {
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.spec.path, p.spec.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.spec.dir, log, log
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), p.spec.env...), childAttributes()

	r := &run{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		log.Close()
		if err == nil {
			r.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in ProcessState
		r.state = cmd.ProcessState.String()
		close(r.exited)
	}()
	return r, <-started
}

func (p *Process) awaitReady(ctx context.Context, r *run) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.spec.patience, startTimeout))
	defer cancel()
	return poll(ctx, func(ctx context.Context) error {
		if !r.alive() {
			return fatal(fmt.Errorf("it ended while starting: %s", r.state))
		}
		return p.spec.ready(ctx)
	})
}

// end sends signals to the running process, if any, and waits until it is gone.
func (p *Process) end(ctx context.Context, signals ...syscall.Signal) error {
	for _, s := range signals {
		if _, err := p.signal(s); err != nil && !errors.Is(err, errNotRunning) {
			return err
		}
	}
	r := p.current.Load()
	if r == nil {
		return nil
	}
	select {
	case <-r.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for process %d to end: %w", r.pid, context.Cause(ctx))
	}
}

// destroy kills the process with a separate deadline, so that cleaning up
// works after the caller's context has ended.
func (p *Process) destroy() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	return p.end(ctx, syscall.SIGKILL)
}

// close destroys the process and removes its folder.
func (p *Process) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	return errors.Join(p.Kill(ctx), os.RemoveAll(p.spec.dir))
}

var errNotRunning = errors.New("it is not running")

// signal signals the process group, which holds the helpers that the server
// has forked (a background rewrite, say) as well.
func (p *Process) signal(s syscall.Signal) (*run, error) {
	r := p.current.Load()
	if r == nil || !r.alive() {
		return nil, errNotRunning
	}
	err := syscall.Kill(-r.pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return nil, errNotRunning
	}
	return r, err
}
