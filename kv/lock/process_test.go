package lock_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
	_ "fairlead.dev/providers/redis"
)

// holderURL is the environment variable that makes the test program hold the lock
// "m", in the store at the URL that is its value.
const holderURL = "FAIRLEAD_TEST_LOCK_HOLDER"

const processTTL = 2 * time.Second

// holdUntilKilled takes the lock, and prints its token. After the lease is lost, it
// prints the code of a late write.
func holdUntilKilled(url string) {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	p, err := fairlead.Open(ctx, url)
	check(err)
	s, err := kv.Open(ctx, p, "locks")
	check(err)
	m, err := lock.New(s, "m", lock.TTL(processTTL))
	check(err)
	l, err := m.Lock(ctx)
	check(err)
	fmt.Println(l.Token())
	<-l.Lost()
	_, err = s.Txn(ctx, l.Fence(), kv.ThenPut("data", []byte("late")))
	fmt.Println("lost;", fairlead.CodeOf(l.Err()) != 0, fairlead.CodeOf(err))
}

// holder is a program that has the lock.
type holder struct {
	*exec.Cmd
	token uint64
	out   *bufio.Scanner
}

func startHolder(t *testing.T, url string) *holder {
	t.Helper()
	h := &holder{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	h.Env = append(os.Environ(), holderURL+"="+url)
	h.Stderr = os.Stderr
	out, err := h.StdoutPipe()
	must(t, err)
	must(t, h.Start())
	t.Cleanup(func() {
		_ = h.Process.Kill()
		_ = h.Wait()
	})
	h.out = bufio.NewScanner(out)
	h.token, err = strconv.ParseUint(h.line(), 10, 64)
	must(t, err)
	return h
}

func (h *holder) line() string {
	h.out.Scan()
	return h.out.Text()
}

// TestProcesses kills a program that has the lock, and stops another one until its
// lease has expired. When the stopped program continues, it learns of the loss,
// and a write with its fence is refused.
func TestProcesses(t *testing.T) {
	server := testbed.Redis(t)
	p, err := fairlead.Open(t.Context(), server.URL())
	must(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	s := openStore(t, p)
	m := newMutex(t, s, lock.TTL(processTTL))

	killed := startHolder(t, server.URL())
	must(t, killed.Process.Kill())
	began := time.Now()
	stopped := startHolder(t, server.URL())
	if stopped.token <= killed.token {
		t.Errorf("token %d after %d", stopped.token, killed.token)
	}
	t.Logf("the lock of a killed program was free after %v", time.Since(began))

	must(t, stopped.Process.Signal(syscall.SIGSTOP))
	l := mustLock(t, m)
	must(t, stopped.Process.Signal(syscall.SIGCONT))
	if got := stopped.line(); !strings.HasSuffix(got, "true conflict") {
		t.Errorf("the program that was stopped: %q", got)
	}
	if l.Token() <= stopped.token || isLost(l) {
		t.Errorf("token %d after %d; lost: %v", l.Token(), stopped.token, l.Err())
	}
	must(t, l.Release(t.Context()))
}
