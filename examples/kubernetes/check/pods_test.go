package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// pod is a pod template with the volume claims that it may mount.
type pod struct {
	template corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

func pods(t *testing.T) map[string]pod {
	set, deployment := the[*appsv1.StatefulSet](t), the[*appsv1.Deployment](t)
	return map[string]pod{
		"redis":   {set.Spec.Template, set.Spec.VolumeClaimTemplates},
		"counter": {deployment.Spec.Template, nil},
	}
}

func (p pod) containers() []corev1.Container {
	return slices.Concat(p.template.Spec.InitContainers, p.template.Spec.Containers)
}

// TestPodsAreConfined shows that pods do not run as root, cannot become root, can
// write only to volumes, and have no credentials of the cluster.
func TestPodsAreConfined(t *testing.T) {
	for name, p := range pods(t) {
		s := p.template.Spec.SecurityContext
		if s == nil || !is(s.RunAsNonRoot) || s.RunAsUser == nil || s.FSGroup == nil || s.SeccompProfile == nil {
			t.Errorf("%s: the pod's security context is %+v", name, s)
		}
		if a := p.template.Spec.AutomountServiceAccountToken; a == nil || *a {
			t.Errorf("%s: the pod gets a token of the cluster", name)
		}
		for _, c := range p.containers() {
			s := c.SecurityContext
			if s == nil || !is(s.ReadOnlyRootFilesystem) || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: the container %s has the security context %+v", name, c.Name, s)
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: the container %s has no request of processor time, or no limit of memory", name, c.Name)
			}
		}
	}
}

func is(b *bool) bool { return b != nil && *b }

// TestSocketIsShared shows that the sidecar and the application run as the same
// user, side by side, and share the folder of the socket.
func TestSocketIsShared(t *testing.T) {
	spec := pods(t)["counter"].template.Spec
	sidecar, app := spec.InitContainers[0], spec.Containers[0]
	if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways || sidecar.StartupProbe == nil {
		t.Errorf("the plugin is no sidecar that has started before the application: restartPolicy %v, startupProbe %v", sidecar.RestartPolicy, sidecar.StartupProbe)
	}
	for _, c := range []corev1.Container{sidecar, app} {
		if c.SecurityContext.RunAsUser != nil {
			t.Errorf("%s runs as a user of its own; the socket is open only to the sidecar's user", c.Name)
		}
	}
	const socket = "unix:///run/fairlead/redis.sock"
	if !slices.Contains(sidecar.Args, "--listen="+socket) || !slices.Contains(app.Args, "--url=sidecar+"+socket) {
		t.Errorf("the sidecar has the arguments %q, the application %q", sidecar.Args, app.Args)
	}
	if one, other := mounted(sidecar, "/run/fairlead"), mounted(app, "/run/fairlead"); one == "" || one != other {
		t.Errorf("/run/fairlead is the volume %q in the sidecar and %q in the application", one, other)
	}
}

// mounted returns the name of the volume at a path.
func mounted(c corev1.Container, path string) string {
	for _, m := range c.VolumeMounts {
		if m.MountPath == path {
			return m.Name
		}
	}
	return ""
}

// TestSecretsAreFiles shows that no secret is in arguments or the environment, and
// that the application has none.
func TestSecretsAreFiles(t *testing.T) {
	for name, p := range pods(t) {
		for _, c := range p.containers() {
			if len(c.Env)+len(c.EnvFrom) > 0 {
				t.Errorf("%s: the container %s has an environment", name, c.Name)
			}
			for _, arg := range c.Args {
				if strings.Contains(arg, "redis://") {
					t.Errorf("%s: the container %s has the argument %q", name, c.Name, arg)
				}
			}
			for _, m := range c.VolumeMounts {
				if secret := p.volume(m.Name).Secret; secret != nil && (c.Name == "counter" || !m.ReadOnly || *secret.DefaultMode != 0o440) {
					t.Errorf("%s: the container %s mounts the secret %s, mode %o", name, c.Name, secret.SecretName, *secret.DefaultMode)
				}
			}
		}
	}
}

func (p pod) volume(name string) corev1.Volume {
	i := slices.IndexFunc(p.template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		return corev1.Volume{}
	}
	return p.template.Spec.Volumes[i]
}

// TestReferences shows that everything exists that one object names in another.
func TestReferences(t *testing.T) {
	for name, p := range pods(t) {
		for _, c := range p.containers() {
			for _, m := range c.VolumeMounts {
				claimed := slices.ContainsFunc(p.claims, func(v corev1.PersistentVolumeClaim) bool { return v.Name == m.Name })
				if p.volume(m.Name).Name == "" && !claimed {
					t.Errorf("%s: the container %s mounts %q, which is no volume", name, c.Name, m.Name)
				}
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if probe != nil && probe.HTTPGet != nil && !hasPort(c, probe.HTTPGet.Port.StrVal) {
					t.Errorf("%s: a probe of %s asks the port %q", name, c.Name, probe.HTTPGet.Port.StrVal)
				}
			}
			if c.LivenessProbe == nil || (c.ReadinessProbe == nil && c.StartupProbe == nil) {
				t.Errorf("%s: the container %s lacks probes", name, c.Name)
			}
		}
		for _, v := range p.template.Spec.Volumes {
			if v.ConfigMap != nil && v.ConfigMap.Name != the[*corev1.ConfigMap](t).Name {
				t.Errorf("%s: there is no ConfigMap %q", name, v.ConfigMap.Name)
			}
			if v.Secret != nil {
				t.Run(name+"-secret", func(t *testing.T) { wantInReadme(t, *v.Secret) })
			}
		}
	}
}

func hasPort(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

// wantInReadme checks that the command in the README makes the keys of the secret.
func wantInReadme(t *testing.T, s corev1.SecretVolumeSource) {
	readme := read(t, "README.md")
	for _, want := range append([]string{"create secret generic " + s.SecretName}, keys(s)...) {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md does not say %q", want)
		}
	}
}

func keys(s corev1.SecretVolumeSource) (keys []string) {
	for _, item := range s.Items {
		keys = append(keys, fmt.Sprintf("--from-file=%s=", item.Key))
	}
	return keys
}

// TestSelectors shows that everything that selects pods selects the intended ones.
func TestSelectors(t *testing.T) {
	all := pods(t)
	set, service, policy := the[*appsv1.StatefulSet](t), the[*corev1.Service](t), the[*networkingv1.NetworkPolicy](t)
	for _, c := range []struct {
		what     string
		selector *metav1.LabelSelector
		pod      string
	}{
		{"the StatefulSet", set.Spec.Selector, "redis"},
		{"the Service", &metav1.LabelSelector{MatchLabels: service.Spec.Selector}, "redis"},
		{"the PodDisruptionBudget", the[*policyv1.PodDisruptionBudget](t).Spec.Selector, "redis"},
		{"the NetworkPolicy", &policy.Spec.PodSelector, "redis"},
		{"the NetworkPolicy's ingress", policy.Spec.Ingress[0].From[0].PodSelector, "counter"},
		{"the Deployment", the[*appsv1.Deployment](t).Spec.Selector, "counter"},
	} {
		s, err := metav1.LabelSelectorAsSelector(c.selector)
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range all {
			if s.Matches(labels.Set(p.template.Labels)) != (name == c.pod) {
				t.Errorf("%s selects %s: %v", c.what, name, name != c.pod)
			}
		}
	}
	if set.Spec.ServiceName != service.Name || service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the StatefulSet is governed by %q; the service %q has the address %q, want none", set.Spec.ServiceName, service.Name, service.Spec.ClusterIP)
	}
}
