package service

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// wantRefused checks that a first frame is refused with a code, and that the
// connection ends with the same code.
func wantRefused(t *testing.T, what string, s *Service, first *pluginpb.Attach, want pluginpb.Code) {
	t.Helper()
	h, f := connect(s, first)
	defer close(h.in)
	if got := f.End.GetCode(); got != want {
		t.Errorf("%s: refused with %v, want %v", what, got, want)
	}
	err := <-h.served
	if details := status.Convert(err).Details(); len(details) != 1 || details[0].(*pluginpb.Error).Code != want {
		t.Errorf("%s: the connection ended with %v, %v, want %v", what, err, details, want)
	}
}

// TestAttaching shows that one host may attach to a session, with the session's
// token. Refused attempts do the session no harm.
func TestAttaching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeProvider(fairlead.Limits{})
		s := newService(f)
		a := openSession(t, s)
		wantRefused(t, "no attach", s, nil, pluginpb.Code_CODE_INVALID)
		wantRefused(t, "another session", s, &pluginpb.Attach{Session: a.Session + 1, Token: a.Token}, pluginpb.Code_CODE_CLOSED)
		wantRefused(t, "no token", s, &pluginpb.Attach{Session: a.Session}, pluginpb.Code_CODE_PERMISSION_DENIED)
		wantRefused(t, "a part of the token", s, &pluginpb.Attach{Session: a.Session, Token: a.Token[1:]}, pluginpb.Code_CODE_PERMISSION_DENIED)
		wrong := bytes.Clone(a.Token)
		wrong[len(wrong)-1]++
		wantRefused(t, "a wrong token", s, &pluginpb.Attach{Session: a.Session, Token: wrong}, pluginpb.Code_CODE_PERMISSION_DENIED)

		h, first := connect(s, a)
		if first.End != nil || len(first.Replies) > 0 {
			t.Fatalf("the response to the attach is %v, want an empty frame", first)
		}
		wantRefused(t, "a second attach", s, a, pluginpb.Code_CODE_CONFLICT)
		if r := h.callAndWait(0, &pluginpb.Call{Body: &pluginpb.Call_KvOpenStore{}}); r.Error != nil || r.Handle == 0 {
			t.Errorf("a call in the session: %v", r)
		}

		close(h.in)
		if err := <-h.served; err != nil || !f.isClosed() {
			t.Errorf("the session ended with %v; its provider is closed: %v", err, f.isClosed())
		}
		wantRefused(t, "a session that has ended", s, a, pluginpb.Code_CODE_CLOSED)
	})
}

// TestSessionsHaveTokensOfTheirOwn shows that the token of one session is refused
// for another.
func TestSessionsHaveTokensOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(newFakeProvider(fairlead.Limits{}))
		one, other := openSession(t, s), openSession(t, s)
		wantRefused(t, "the token of another session", s, &pluginpb.Attach{Session: one.Session, Token: other.Token}, pluginpb.Code_CODE_PERMISSION_DENIED)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionIsAttachedInTime shows that a session ends if no host attaches in
// time, and stays open otherwise.
func TestSessionIsAttachedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // until the host attaches
		lives bool          // whether the session is still open then
	}{
		"at once":         {0, true},
		"just in time":    {attachTimeout - 1, true},
		"just after that": {attachTimeout + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeProvider(fairlead.Limits{})
				s := newService(f)
				a := openSession(t, s)
				time.Sleep(c.after)
				synctest.Wait()
				if f.isClosed() == c.lives {
					t.Fatalf("after %v the provider is closed: %v", c.after, f.isClosed())
				}
				if !c.lives {
					wantRefused(t, "a late attach", s, a, pluginpb.Code_CODE_CLOSED)
					return
				}
				h, _ := connect(s, a)
				time.Sleep(2 * attachTimeout)
				synctest.Wait()
				if f.isClosed() {
					t.Error("a session that was attached in time has ended")
				}
				close(h.in)
				<-h.served
			})
		})
	}
}

// TestShutdownRefusesSessions shows that a plugin which is ending opens no further
// backend, and leaves none open.
func TestShutdownRefusesSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, late := newFakeProvider(fairlead.Limits{}), newFakeProvider(fairlead.Limits{})
		s := newService(f)
		openSession(t, s)
		if err := s.Shutdown(t.Context()); err != nil || !f.isClosed() {
			t.Errorf("the end of the service: %v; its provider is closed: %v", err, f.isClosed())
		}
		s.config.Open = newService(late).config.Open
		_, err := s.Open(t.Context(), &pluginpb.OpenRequest{})
		if details := status.Convert(err).Details(); len(details) != 1 || details[0].(*pluginpb.Error).Code != pluginpb.Code_CODE_UNAVAILABLE || !late.isClosed() {
			t.Errorf("opening after it: %v, %v; its provider is closed: %v", err, details, late.isClosed())
		}
	})
}

// TestShutdownWaitsForSessions shows that a plugin which is ending waits, while it
// has time, for a session that is being closed already because its host is gone.
func TestShutdownWaitsForSessions(t *testing.T) {
	for name, c := range map[string]struct {
		closing, patience time.Duration
		want              fairlead.Code
	}{
		"long enough":     {time.Second, 2 * time.Second, 0},
		"not long enough": {2 * time.Second, time.Second, fairlead.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeProvider(fairlead.Limits{})
				f.holdClose = make(chan struct{})
				s := newService(f)
				h, _ := connect(s, openSession(t, s))
				close(h.in)
				synctest.Wait()
				time.AfterFunc(c.closing, func() { close(f.holdClose) })
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				began := time.Now()
				err := s.Shutdown(ctx)
				if took := time.Since(began); fairlead.CodeOf(err) != c.want || took != time.Second {
					t.Errorf("Shutdown took %v and returned %v, want 1 s and %v", took, err, c.want)
				}
				<-h.served
			})
		})
	}
}
