package check

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// patience is how long to wait for something that must happen.
const patience = 30 * time.Second

// node acts as the kubelet: it runs the containers of the application's pod as
// processes, and replaces their paths by paths of this machine.
type node struct {
	*testing.T
	paths *strings.Replacer
}

// newNode builds the images' programs and mounts the Secret. The Secret's URL is the
// README's URL with the address addr.
func newNode(t *testing.T, addr string) node {
	bin, run, secret := t.TempDir(), t.TempDir(), secretFolder(t)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "fairlead.dev/cmd/fairlead-redis", "fairlead.dev/examples/kubernetes/counter")
	build.Dir = filepath.Join(folder, "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	url := regexp.MustCompile(`redis://redis-0\.redis:6379[^']*`).FindString(read(t, "README.md"))
	n := node{t, strings.NewReplacer("/run/fairlead", run, "/etc/fairlead/redis", secret,
		"redis-0.redis:6379", addr, "/fairlead-redis", bin+"/fairlead-redis", ":8080", "127.0.0.1:0")}
	write(t, filepath.Join(secret, "url"), n.paths.Replace(url)+"\n")
	return n
}

// run starts a container. Its image is named as its program.
func (n node) run(c corev1.Container) *exec.Cmd {
	n.Helper()
	image, _, _ := strings.Cut(filepath.Base(c.Image), ":")
	var args []string
	for _, arg := range c.Args {
		args = append(args, n.paths.Replace(arg))
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(n.paths.Replace("/fairlead-redis")), image), args...)
	cmd.Env = []string{}
	return cmd
}

func (n node) start(cmd *exec.Cmd) {
	n.Helper()
	if err := cmd.Start(); err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// probe reports whether a command of a probe succeeds.
func (n node) probe(p *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(n.Context(), time.Duration(p.TimeoutSeconds)*time.Second)
	defer cancel()
	var command []string
	for _, arg := range p.Exec.Command {
		command = append(command, n.paths.Replace(arg))
	}
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (n node) eventually(what string, ok func() error) {
	n.Helper()
	err := ok()
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = ok() {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		n.Fatalf("%s: %v", what, err)
	}
}

// stop ends a container as Kubernetes does, and demands that it ends without an
// error.
func (n node) stop(cmd *exec.Cmd) {
	n.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		n.Errorf("%s, told to end: %v", filepath.Base(cmd.Path), err)
	}
}

// listening starts the application and returns its URL.
func (n node) listening(cmd *exec.Cmd) string {
	n.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		n.Fatal(err)
	}
	n.start(cmd)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, addr, ok := strings.Cut(lines.Text(), "address="); ok {
			go io.Copy(io.Discard, stderr)
			return "http://" + addr
		}
		n.Log(lines.Text())
	}
	n.Fatal("the application has ended")
	return ""
}

// count makes a request to the application, and returns the count.
func count(method, url string) (n int, err error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	if err == nil && len(body) > 0 {
		_, err = fmt.Sscan(string(body), &n)
	}
	return n, err
}

// TestPod runs the pod's containers with the arguments of the manifest against
// a Redis with the settings of the ConfigMap: the application counts, continues
// after the sidecar was killed, and is not ready while Redis is less durable than
// the application requires.
func TestPod(t *testing.T) {
	server := server(t, secretFolder(t))
	n := newNode(t, server.Addr())
	pod := the[*appsv1.Deployment](t).Spec.Template.Spec
	sidecar, app := pod.InitContainers[0], pod.Containers[0]

	plugin := n.run(sidecar)
	n.start(plugin)
	n.eventually("the sidecar's startup probe", func() error { return n.probe(sidecar.StartupProbe) })
	counter := n.run(app)
	url := n.listening(counter)
	ready := func() error { _, err := count("GET", url+app.ReadinessProbe.HTTPGet.Path); return err }
	add := func() error { _, err := count("POST", url); return err }
	n.eventually("the readiness probe", ready)
	for want := 1; want <= 3; want++ {
		if got, err := count("POST", url); err != nil || got != want {
			t.Errorf("counted %d, %v; want %d", got, err, want)
		}
	}

	if err := plugin.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = plugin.Wait()
	if err := n.probe(sidecar.LivenessProbe); err == nil {
		t.Error("the liveness probe finds a sidecar that was killed well")
	}
	if _, err := count("GET", url+app.LivenessProbe.HTTPGet.Path); err != nil {
		t.Errorf("without its sidecar the application is not alive: %v", err)
	}
	plugin = n.run(sidecar)
	n.start(plugin)
	n.eventually("counting with a new sidecar", add)
	if got, err := count("GET", url); err != nil || got < 4 {
		t.Errorf("the count is %d, %v; 4 were acknowledged", got, err)
	}

	set(t, server.Addr(), "everysec")
	n.eventually("not ready without fsync", func() error {
		if ready() == nil {
			return fmt.Errorf("it is ready")
		}
		return nil
	})
	set(t, server.Addr(), "always")
	n.eventually("ready again", ready)
	n.stop(counter)
	n.stop(plugin)
}

// set changes how Redis syncs.
func set(t *testing.T, addr, appendfsync string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, Password: password})
	defer c.Close()
	if err := c.ConfigSet(t.Context(), "appendfsync", appendfsync).Err(); err != nil {
		t.Fatal(err)
	}
}
