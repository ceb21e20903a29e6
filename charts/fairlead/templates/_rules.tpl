{{- /* What the operator may do in each namespace that it serves. */}}
{{- define "fairlead.watchedRules" -}}
# The objects that it serves, and their conditions.
- apiGroups: [fairlead.dev]
  resources: [remotehosts, mcptokens, sshcertificateauthorities]
  verbs: [get, list, watch]
- apiGroups: [fairlead.dev]
  resources: [remotehosts/status, mcptokens/status, sshcertificateauthorities/status]
  verbs: [patch]
# Configurations, tokens, keys and certificates; of users' own Secrets it reads those with the keys of certificate
# authorities alone, and of others the metadata.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch]
# Key revocation lists.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch]
# The children of hosts; what an owner reference deletes needs no verb here.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
# Where the cluster has the Gateway API; what Gateways say of a route is read from its status.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Why a pod doesn't start, and the annotation that makes its node fetch a changed Secret at once.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
