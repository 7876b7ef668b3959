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

// caller sends requests, many at a time, and hands each answer to the goroutine
// that waits for it. Unlike the client's own requests, its requests end when the
// connection breaks: the caller learns at once that no answer will come.
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

// answer is the answer to the request with this index.
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
	w, ok := c.removeWaiting(m.Subject[len(c.prefix):])
	if !ok {
		return // the caller has given up
	}
	a := answer{index: w.index, msg: m}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		a.err = errNoResponder
	}
	w.answers <- a
}

func (c *caller) removeWaiting(token string) (waiting, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.waiting[token]
	delete(c.waiting, token)
	return w, ok
}

// sendRequest sends a request; its answer comes on answers under index. With an
// error, nothing was sent, and no answer comes. The token is for abandon.
func (c *caller) sendRequest(m *natsgo.Msg, index int, answers chan<- answer) (token string, err error) {
	c.mu.Lock()
	c.last++
	token = strconv.FormatUint(c.last, 36)
	c.waiting[token] = waiting{subject: m.Subject, index: index, answers: answers}
	c.mu.Unlock()
	m.Reply = c.prefix + token
	if err := c.nc.PublishMsg(m); err != nil {
		c.removeWaiting(token)
		return "", err
	}
	return token, nil
}

// abandon gives up requests: their answers are dropped.
func (c *caller) abandon(tokens []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tokens {
		delete(c.waiting, t)
	}
}

// failWaiting answers the requests that match with err.
func (c *caller) failWaiting(err error, match func(waiting) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for token, w := range c.waiting {
		if match(w) {
			delete(c.waiting, token)
			w.answers <- answer{index: w.index, err: err}
		}
	}
}

// failAll ends all requests: the connection broke.
func (c *caller) failAll() { c.failWaiting(errLost, func(waiting) bool { return true }) }

// failDenied ends the requests whose subject the server denies to this user.
func (c *caller) failDenied(err error) {
	c.failWaiting(err, func(w waiting) bool { return strings.Contains(err.Error(), `"`+w.subject+`"`) })
}

// request sends one request and returns its answer. sent is false if nothing
// reached the server.
func (c *caller) request(ctx context.Context, limit time.Duration, m *natsgo.Msg) (reply *natsgo.Msg, sent bool, err error) {
	if err := fairlead.ContextError(ctx); err != nil {
		return nil, false, err
	}
	answers := make(chan answer, 1)
	token, err := c.sendRequest(m, 0, answers)
	if err != nil {
		return nil, false, err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.msg, true, a.err
	case <-ctx.Done():
		err = contextEnd(ctx, limit)
	case <-timer.C:
		err = timeoutError{limit}
	}
	c.abandon([]string{token})
	return nil, true, err
}

const (
	// noResponderPatience is how long a request is repeated that no server takes,
	// for example while a cluster elects the leader of a stream, or when it has just
	// created the stream.
	noResponderPatience = 2 * time.Second
	noResponderPause    = 20 * time.Millisecond
)

// requestUntilTaken makes a request, and repeats it while no server takes it:
// then it had no effect.
func (p *provider) requestUntilTaken(ctx context.Context, m *natsgo.Msg) (reply *natsgo.Msg, sent bool, err error) {
	for until := time.Now().Add(noResponderPatience); ; {
		reply, sent, err = p.calls.request(ctx, p.config.requestTimeout, m)
		if !isNoResponder(err) || !p.pauseWithoutResponder(ctx, until) {
			return reply, sent, err
		}
	}
}

// pauseWithoutResponder pauses before the next attempt, and returns false if
// there should be none.
func (p *provider) pauseWithoutResponder(ctx context.Context, until time.Time) bool {
	return time.Now().Before(until) && p.nc.IsConnected() && providers.Pause(ctx, noResponderPause)
}

// timeoutError: no answer came in time, though the connection lasts.
type timeoutError struct{ limit time.Duration }

func (e timeoutError) Error() string {
	return "no answer within the request-timeout of " + e.limit.String()
}

func isTimeout(err error) bool {
	var e timeoutError
	return errors.As(err, &e)
}

// errOwnLimit is the cause of a context that ended with the request-timeout.
var errOwnLimit = errors.New("the request-timeout has passed")

// bound returns a context that ends with ctx, with life, or with the
// request-timeout.
func (p *provider) bound(ctx context.Context, life *providers.Lifetime) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeoutCause(ctx, p.config.requestTimeout, errOwnLimit)
	stop := context.AfterFunc(life.Context(), cancel)
	return bounded, func() {
		stop()
		cancel()
	}
}

// explainCanceled returns what err means, the error of a call that the caller made
// with ctx. A call whose context was canceled was ended by its handle, or by the
// caller.
func explainCanceled(ctx context.Context, life *providers.Lifetime, err error) error {
	if fairlead.CodeOf(err) == fairlead.Canceled {
		return life.WaitError(ctx, err)
	}
	return err
}

// contextEnd returns why a context has ended: the caller's time is over, or limit is,
// the request-timeout.
func contextEnd(ctx context.Context, limit time.Duration) error {
	if errors.Is(context.Cause(ctx), errOwnLimit) {
		return timeoutError{limit}
	}
	return ctx.Err()
}

// openAttempts is how often a request is made that is part of opening and is
// idempotent. A cluster that creates a stream or a consumer answers when its
// replicas have elected a leader, which may take longer than any other call.
const openAttempts = 3

// retryOpening repeats a request that was not answered although the connection
// lasts, or that came while the server removed the last stream of the account
// together with the folder of all streams.
func (p *provider) retryOpening(ctx context.Context, request func() error) error {
	for n := 1; ; n++ {
		err := request()
		if !isTimeout(err) && !isAPI(err, codeStoreFailed) || n == openAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// callAPI sends a request to JetStream, decodes the answer into v, and returns
// its error. write says whether the request changes something.
func (p *provider) callAPI(ctx context.Context, subject string, request, v any, write bool) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return fairlead.Errorf(fairlead.Internal, "%w", err)
		}
	}
	m := &natsgo.Msg{Subject: apiPrefix + subject, Data: body}
	reply, sent, err := p.requestUntilTaken(ctx, m)
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
