package testbed

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// chunkSize is the largest size of one read, in bytes.
const chunkSize = 64 << 10

// queuedChunks bounds the number of chunks that wait for their latency to pass.
const queuedChunks = 256

// proxied is one connection through a TCPProxy.
type proxied struct {
	proxy  *TCPProxy
	client *net.TCPConn
	ctx    context.Context // ends when the connection is cut
	cancel context.CancelFunc

	mu     sync.Mutex
	caught *Trap // whose request the server has got
}

// chunk is data from the server, and the time when the client may receive it.
type chunk struct {
	data []byte
	due  time.Time
}

// cut resets the client's connection, which ends run.
func (c *proxied) cut() {
	_ = c.client.SetLinger(0) // a reset, not a polite end
	_ = c.client.Close()
	c.cancel()
}

func (c *proxied) run(server *net.TCPConn) {
	unhook := context.AfterFunc(c.ctx, func() { _ = server.Close() })
	defer unhook()
	defer server.Close()
	replies := make(chan chunk, queuedChunks)
	var tasks sync.WaitGroup
	tasks.Go(func() { c.forwardRequests(server) })
	tasks.Go(func() { c.readReplies(server, replies) })
	tasks.Go(func() { c.writeReplies(replies) })
	tasks.Wait()
}

// forwardRequests copies from the client to the server. When the client says
// that it sends no more, the server hears it too.
func (c *proxied) forwardRequests(server *net.TCPConn) {
	buf := make([]byte, chunkSize)
	var seen []byte // the end of the previous chunk: match may span two chunks
	for {
		n, err := c.client.Read(buf)
		if n > 0 {
			var trap *Trap
			seen, trap = c.watch(append(seen, buf[:n]...))
			if c.send(server, buf[:n], trap) != nil {
				c.cut()
				return
			}
		}
		if err == io.EOF {
			_ = server.CloseWrite()
			return
		}
		if err != nil {
			c.cut()
			return
		}
	}
}

// watch returns the trap that seen has walked into, if any, and else the part of
// seen that the next chunk could complete.
func (c *proxied) watch(seen []byte) ([]byte, *Trap) {
	t := c.proxy.armed()
	if t == nil || len(t.match) == 0 {
		return nil, nil
	}
	if bytes.Contains(seen, t.match) && c.proxy.take(t) {
		return nil, t
	}
	return bytes.Clone(seen[max(0, len(seen)-len(t.match)+1):]), nil
}

// send gives data to the server. With a trap, no reply passes between the
// server's getting the data and its being marked as caught.
func (c *proxied) send(server *net.TCPConn, data []byte, trap *Trap) error {
	if trap == nil {
		_, err := server.Write(data)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := server.Write(data)
	c.caught = trap
	return err
}

func (c *proxied) trapped() *Trap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caught
}

// readReplies queues the server's data, until the server ends it or it is dropped.
func (c *proxied) readReplies(server *net.TCPConn, replies chan<- chunk) {
	defer close(replies)
	for {
		buf := make([]byte, chunkSize)
		n, err := server.Read(buf)
		if t := c.trapped(); t != nil && n > 0 {
			c.swallow(server, t)
			return
		}
		if n > 0 {
			due := time.Now().Add(time.Duration(c.proxy.latency.Load()))
			select {
			case replies <- chunk{buf[:n], due}:
			case <-c.ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// swallow lets the server finish, drops its data, and cuts the
// client off.
func (c *proxied) swallow(server *net.TCPConn, t *Trap) {
	_ = server.CloseWrite()
	_, _ = io.Copy(io.Discard, server)
	c.cut()
	close(t.sprung)
}

// writeReplies hands the replies to the client, each when it is due. When the
// server has ended, so does the client's connection.
func (c *proxied) writeReplies(replies <-chan chunk) {
	for r := range replies {
		if !c.sleepUntil(r.due) {
			return
		}
		if _, err := c.client.Write(r.data); err != nil {
			c.cut()
			return
		}
	}
	_ = c.client.Close()
	c.cancel()
}

func (c *proxied) sleepUntil(due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}
