package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
)

// pipeTimeout is how long the output of a process that has ended is read: a
// grandchild that left the process group may hold the pipe open for ever.
const pipeTimeout = 500 * time.Millisecond

// child is the process. It implements go-plugin's runner.Runner, to which it
// shows the handshake and nothing else that the process writes.
type child struct {
	cmd       *exec.Cmd
	log       *slog.Logger
	dir       string
	tail      *tail
	handshake *io.PipeReader
	handshakeWriter  *io.PipeWriter
	stdoutClosed    chan struct{} // closed when its standard output has ended
	exited    chan struct{}
	reading   sync.WaitGroup

	mu      sync.Mutex
	started bool
	killed  bool
	exitState   string // how; empty as long as it runs
}

func newChild(spec Spec, dir string) *child {
	c := &child{
		cmd:    exec.Command(spec.Path),
		log:    spec.Log,
		dir:    dir,
		tail:   &tail{},
		stdoutClosed: make(chan struct{}),
		exited: make(chan struct{}),
	}
	c.handshake, c.handshakeWriter = io.Pipe()
	c.cmd.Env = append(append([]string{}, spec.Env...), SocketDirEnv+"="+dir, logLevelEnv+"="+leastLevel(spec.Log))
	return c
}

// addEnv adds the variables of the handshake.
func (c *child) addEnv(env []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, goplugin.EnvUnixSocketDir+"=") {
			c.cmd.Env = append(c.cmd.Env, v)
		}
	}
	c.cmd.Env = append(c.cmd.Env, goplugin.EnvUnixSocketDir+"="+c.dir)
}

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		c.markUnstarted("killed before it started")
		return errors.New("killed before it started")
	}
	pipes, err := c.pipes()
	if err != nil {
		c.markUnstarted(err.Error())
		return err
	}
	if err := c.fork(pipes); err != nil {
		pipes.close()
		c.markUnstarted(err.Error())
		return err
	}
	c.started = true
	return nil
}

// abandon marks a process that never was.
func (c *child) markUnstarted(why string) {
	c.exitState = why
	_ = c.handshakeWriter.Close()
	close(c.exited)
}

// pipes are the host's ends and the child's.
type pipes struct {
	out, err, in       *os.File // the host's
	childOut, childErr *os.File
	childIn            *os.File
}

func (c *child) pipes() (p pipes, err error) {
	var errs [3]error
	p.out, p.childOut, errs[0] = os.Pipe()
	p.err, p.childErr, errs[1] = os.Pipe()
	p.childIn, p.in, errs[2] = os.Pipe()
	if err := errors.Join(errs[:]...); err != nil {
		p.close()
		return pipes{}, err
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = p.childIn, p.childOut, p.childErr
	return p, nil
}

func (p pipes) close() {
	p.closeChild()
	_, _, _ = p.out.Close(), p.err.Close(), p.in.Close()
}

func (p pipes) closeChild() {
	_, _, _ = p.childOut.Close(), p.childErr.Close(), p.childIn.Close()
}

// fork starts the program, and the goroutines that read what it writes and
// wait for its end.
//
// The kernel sends the parent-death signal when the thread that forked ends.
// So the goroutine that forks keeps its thread until the child is gone; it is
// the one that waits for the child.
func (c *child) fork(p pipes) error {
	c.cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.awaitEnd(p)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.closeChild()
	c.reading.Go(func() { c.readStdout(p.out) })
	c.reading.Go(func() { readLines(p.err, newLogger(c.log, c.tail).logLine) })
	return nil
}

// wait runs until the process has ended and its output was read.
func (c *child) awaitEnd(p pipes) {
	_ = c.cmd.Wait() // how it ended is in ProcessState
	c.mu.Lock()
	killProcessGroup(c.cmd.Process)
	c.exitState = c.cmd.ProcessState.String()
	c.mu.Unlock()
	cut := time.AfterFunc(pipeTimeout, func() { _, _ = p.out.Close(), p.err.Close() })
	c.reading.Wait()
	cut.Stop()
	_, _, _ = p.out.Close(), p.err.Close(), p.in.Close()
	close(c.exited)
}

// handshakeLine is go-plugin's: core version, protocol version, network,
// address, protocol, certificate.
var handshakeLine = regexp.MustCompile(`^[0-9]+\|[0-9]+\|[a-z]+\|[^|]+\|`)

// readStdout hands on the handshake, and logs all other lines.
func (c *child) readStdout(r io.Reader) {
	found := false
	readLines(r, func(line []byte, _ int) {
		if !found && handshakeLine.Match(bytes.TrimSpace(line)) {
			found = true
			_, _ = c.handshakeWriter.Write(append(bytes.TrimSpace(line), '\n'))
			_ = c.handshakeWriter.Close()
			return
		}
		if text := printable(line); text != "" {
			c.log.Info(text, "stream", "stdout")
		}
	})
	close(c.stdoutClosed) // before go-plugin knows
	_ = c.handshakeWriter.Close()
}

// kill ends the process and its group, or keeps it from starting.
func (c *child) killGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exitState != "" {
		return
	}
	c.killed = true
	if c.started {
		killProcessGroup(c.cmd.Process)
	}
}

// neverStarted ends a child that go-plugin did not come to start, and will not.
func (c *child) endUnstarted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started && c.exitState == "" {
		c.markUnstarted("not started")
	}
}

func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		return 0
	}
	return c.cmd.Process.Pid
}

func (c *child) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exitState
}

// settle gives a process that has closed its output a moment to end by itself,
// so that its exit status tells why.
func (c *child) awaitExit() {
	select {
	case <-c.stdoutClosed:
	default:
		return
	}
	select {
	case <-c.exited:
	case <-time.After(pipeTimeout):
	}
}

// endedByItself reports whether the process has ended without being killed.
func (c *child) exitedUnkilled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started && c.exitState != "" && !c.killed
}

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	<-c.exited
	return nil
}

// Kill implements runner.Runner. go-plugin calls it when the handshake fails;
// whoever called go-plugin then kills the process, and looks first why it ended.
func (c *child) Kill(context.Context) error { return nil }

// Stdout implements runner.Runner: the handshake and nothing else.
func (c *child) Stdout() io.ReadCloser { return c.handshake }

// Stderr implements runner.Runner: nothing.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Path }

// ID implements runner.Runner.
func (c *child) ID() string { return strconv.Itoa(c.pid()) }

// HostToPlugin implements runner.Runner.
func (c *child) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// PluginToHost implements runner.Runner. It refuses an address that is neither
// in the child's own folder nor on the loopback interface.
func (c *child) PluginToHost(network, addr string) (string, string, error) {
	switch host, _, _ := net.SplitHostPort(addr); {
	case network == "unix" && filepath.Dir(addr) == c.dir:
	case network == "tcp" && net.ParseIP(host).IsLoopback():
	default:
		return "", "", fmt.Errorf("it listens at %s %q, which is neither a socket in %s (the value of %s) nor a loopback address", network, addr, c.dir, SocketDirEnv)
	}
	return network, addr, nil
}
