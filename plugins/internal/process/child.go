package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// pipeTimeout is how long the output of a process is read after the process has
// ended: a grandchild outside the process group may hold the pipe open forever.
const pipeTimeout = 500 * time.Millisecond

// child is the plugin's process. It implements go-plugin's runner.Runner. Of the
// process's output, go-plugin only gets the handshake.
type child struct {
	cmd             *exec.Cmd
	log             *slog.Logger
	dir             string
	tail            *tail
	handshake       *io.PipeReader
	handshakeWriter *io.PipeWriter
	stdoutClosed    chan struct{} // closed when its standard output has ended
	exited          chan struct{}
	reading         sync.WaitGroup

	mu        sync.Mutex
	started   bool
	killed    bool
	exitState string // how; empty as long as it runs
}

func newChild(spec Spec, dir string) *child {
	c := &child{
		cmd:          exec.Command(spec.Path),
		log:          spec.Log,
		dir:          dir,
		tail:         &tail{},
		stdoutClosed: make(chan struct{}),
		exited:       make(chan struct{}),
	}
	if spec.Binary != nil {
		runOpenFile(c.cmd, spec.Binary)
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

// markUnstarted records that the process will not be started.
func (c *child) markUnstarted(why string) {
	c.exitState = why
	_ = c.handshakeWriter.Close()
	close(c.exited)
}

// pipes are the three standard streams of the child.
type pipes struct {
	out, err, in       *os.File // the host's ends
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

// fork starts the program, and the goroutines that read its output and wait for its
// end.
//
// The kernel sends the parent-death signal when the thread that forked ends. The
// goroutine that forks therefore stays locked to its thread until the child has
// ended: it waits for the child.
func (c *child) fork(p pipes) error {
	c.cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		var at *fs.PathError
		if errors.As(err, &at) {
			at.Path = c.cmd.Args[0] // the command may name an open file
		}
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

// awaitEnd returns when the process has ended and its output has been read.
func (c *child) awaitEnd(p pipes) {
	_ = c.cmd.Wait() // ProcessState says how it ended
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

// handshakeLine matches go-plugin's handshake: core version (always 1), protocol
// version, network, address, protocol, certificate. The handshake may follow what
// the plugin has printed without ending the line.
var handshakeLine = regexp.MustCompile(`^(.*?)(1\|[0-9]+\|[a-z]+\|[^|]+\|[^|]*(?:\|[^|]*)*)$`)

// readStdout passes the handshake to go-plugin, and logs all other output. What
// comes before the handshake is also kept: it may say why there is none.
func (c *child) readStdout(r io.Reader) {
	found := false
	readLines(r, func(line []byte, cut int) {
		parts := handshakeLine.FindSubmatch(bytes.TrimSpace(line))
		handshake := !found && parts != nil
		if handshake {
			line = parts[1]
		}
		if text := printable(line); text != "" {
			c.log.Info(text, "stream", "stdout")
			if !found {
				c.tail.add("stdout: "+text, cut)
			}
		}
		if handshake {
			found = true
			_, _ = c.handshakeWriter.Write(append(bytes.Clone(parts[2]), '\n'))
			_ = c.handshakeWriter.Close()
		}
	})
	close(c.stdoutClosed) // before go-plugin sees the end
	_ = c.handshakeWriter.Close()
}

// killGroup kills the process and its group, or keeps the process from starting.
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

// endUnstarted ends a child that go-plugin has not started. It does nothing if the
// child was started.
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

// awaitExit gives a process that has closed its output a short time to end by
// itself, so that its exit status says why.
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

// exitedUnkilled reports whether the process has ended without being killed.
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

// Kill implements runner.Runner. It does nothing: go-plugin calls it when the
// handshake fails, and the caller of go-plugin then kills the process itself, after
// it has looked why the process ended.
func (c *child) Kill(context.Context) error { return nil }

// Stdout implements runner.Runner. It has the handshake and nothing else.
func (c *child) Stdout() io.ReadCloser { return c.handshake }

// Stderr implements runner.Runner. It is empty.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Args[0] }

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
		return "", "", fmt.Errorf("it listens on %s %q, which is neither a socket in %s (the value of %s) nor a loopback address", network, addr, c.dir, SocketDirEnv)
	}
	return network, addr, nil
}
