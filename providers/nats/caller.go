package nats

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// caller sends requests, many at a time, and hands each answer to who waits
// for it. Unlike the client's own, its requests end when the connection breaks:
// whether an answer is still to be had is then known at once.
type caller struct {
	nc     *natsgo.Conn
	prefix string // of the inboxes

	mu      sync.Mutex
	last    uint64
	waiting map[string]waiting // by the inbox's last token
}

// waiting is a request without an answer.
type waiting struct {
	subject string
	index   int
	answers chan<- answer // never blocks: it has room for all its requests
}

// answer is that of the request with this index.
type answer struct {
	index int
	msg   *natsgo.Msg
	err   error
}

func newCaller() *caller { return &caller{waiting: map[string]waiting{}} }

// attach is called once, before the first request.
func (c *caller) attach(nc *natsgo.Conn) error {
	c.nc, c.prefix = nc, nc.NewInbox()+"."
	sub, err := nc.Subscribe(c.prefix+"*", c.receive)
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, -1) // no answer is ever dropped
}

func (c *caller) receive(m *natsgo.Msg) {
	w, ok := c.take(m.Subject[len(c.prefix):])
	if !ok {
		return // nobody waits any more
	}
	a := answer{index: w.index, msg: m}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		a.err = errNobody
	}
	w.answers <- a
}

func (c *caller) take(token string) (waiting, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.waiting[token]
	delete(c.waiting, token)
	return w, ok
}

// send sends a request, whose answer will come on answers under index. With an
// error, nothing was sent, and no answer comes. The token is for forget.
func (c *caller) send(m *natsgo.Msg, index int, answers chan<- answer) (token string, err error) {
	c.mu.Lock()
	c.last++
	token = strconv.FormatUint(c.last, 36)
	c.waiting[token] = waiting{subject: m.Subject, index: index, answers: answers}
	c.mu.Unlock()
	m.Reply = c.prefix + token
	if err := c.nc.PublishMsg(m); err != nil {
		c.take(token)
		return "", err
	}
	return token, nil
}

// forget gives requests up.
func (c *caller) forget(tokens []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tokens {
		delete(c.waiting, t)
	}
}

// fail answers the requests that match with err.
func (c *caller) fail(err error, match func(waiting) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for token, w := range c.waiting {
		if match(w) {
			delete(c.waiting, token)
			w.answers <- answer{index: w.index, err: err}
		}
	}
}

// lost ends all requests: the connection broke.
func (c *caller) lost() { c.fail(errLost, func(waiting) bool { return true }) }

// denied ends the requests whose subject the server refuses to this user.
func (c *caller) denied(err error) {
	c.fail(err, func(w waiting) bool { return strings.Contains(err.Error(), `"`+w.subject+`"`) })
}

// request sends one request and returns its answer. sent is false if nothing
// reached the server.
func (c *caller) request(ctx context.Context, limit time.Duration, m *natsgo.Msg) (reply *natsgo.Msg, sent bool, err error) {
	if err := fairlead.ContextError(ctx); err != nil {
		return nil, false, err
	}
	answers := make(chan answer, 1)
	token, err := c.send(m, 0, answers)
	if err != nil {
		return nil, false, err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.msg, true, a.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = silentError{limit}
	}
	c.forget([]string{token})
	return nil, true, err
}

const (
	// nobodyPatience is how long a request is repeated that no server takes, as
	// while a cluster elects the leader of a stream, or has just made it.
	nobodyPatience = 2 * time.Second
	nobodyPause    = 20 * time.Millisecond
)

// ask is request, repeated while no server takes it, which did nothing then.
func (p *provider) ask(ctx context.Context, m *natsgo.Msg) (reply *natsgo.Msg, sent bool, err error) {
	for until := time.Now().Add(nobodyPatience); ; {
		reply, sent, err = p.calls.request(ctx, p.config.requestTimeout, m)
		if !isNobody(err) || !p.nobodyPause(ctx, until) {
			return reply, sent, err
		}
	}
}

// nobodyPause is false if it is of no use to wait any longer.
func (p *provider) nobodyPause(ctx context.Context, until time.Time) bool {
	return time.Now().Before(until) && p.nc.IsConnected() && providers.Pause(ctx, nobodyPause)
}

// silentError: no answer came in time, though the connection lasts.
type silentError struct{ limit time.Duration }

func (e silentError) Error() string {
	return "no answer within the request-timeout of " + e.limit.String()
}

func isSilent(err error) bool {
	var e silentError
	return errors.As(err, &e)
}

// openAttempts is how often a request is made that is part of opening, and as
// good twice as once: a cluster that makes a stream or a consumer answers when
// its replicas have elected a leader, which may take longer than any other call.
const openAttempts = 3

// insist repeats a request that was not answered while the connection lasts, or
// that came while the server removed the last stream of the account, and with it
// the folder of them all.
func (p *provider) insist(ctx context.Context, request func() error) error {
	for n := 1; ; n++ {
		err := request()
		if !isSilent(err) && !isAPI(err, codeStoreFailed) || n == openAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// api asks JetStream, decodes the answer into v, and returns its error. write
// says whether the request changes something.
func (p *provider) api(ctx context.Context, subject string, request, v any, write bool) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return fairlead.Errorf(fairlead.Internal, "%w", err)
		}
	}
	m := &natsgo.Msg{Subject: apiPrefix + subject, Data: body}
	reply, sent, err := p.ask(ctx, m)
	if err != nil {
		return mapErr(err, write && sent)
	}
	return mapErr(decodeAPI(reply.Data, v), write)
}

const apiPrefix = "$JS.API."

// decodeAPI returns an *apiError if the answer is one.
func decodeAPI(data []byte, v any) error {
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &failed); err != nil {
		return fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
	}
	if failed.Error != nil {
		return failed.Error
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
	}
	return nil
}
