{{/* The pod template of the DNS server, the same in a Deployment and a DaemonSet. */}}
{{- define "rollcall.dns.pod" -}}
{{- $values := .Values.dns }}
{{- $tls := include "rollcall.dns.tls" . }}
{{- $spread := ne $values.mode "nodeLocal" -}}
metadata:
  labels:
    {{- include "rollcall.pod.labels" (dict "root" . "component" "dns" "values" $values) | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: dns
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "rollcall.pod.placement" (dict "root" . "component" "dns" "values" $values "spread" $spread "priorityClassName" (include "rollcall.dns.priorityClassName" .) "tolerations" (include "rollcall.dns.tolerations" . | fromYamlArray)) | trim | nindent 2 }}
  serviceAccountName: {{ include "rollcall.dns.serviceAccountName" . }}
  automountServiceAccountToken: {{ $values.serviceAccount.automountServiceAccountToken }}
  # Where the controller is: see --catalog.
  enableServiceLinks: true
  # By default the node's resolv.conf. This pod may be what the cluster's own names.
  {{- include "rollcall.pod.names" $values | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | default (add $values.lameDuckSeconds 10) }}
  securityContext:
    {{- include "rollcall.dns.podSecurityContext" . | nindent 4 }}
  {{- with $values.initContainers }}
  initContainers:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  containers:
  - name: dns
    image: {{ include "rollcall.image" (list . $values.image) }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args:
    {{- range include "rollcall.dns.catalogs" . | fromYamlArray }}
    - --catalog={{ . }}
    {{- end }}
    {{- if $tls }}
    - --catalog-ca-file=/etc/rollcall/ca/ca.crt
    - --catalog-token-file=/var/run/secrets/rollcall.dev/token
    {{- if not $values.catalogs }}
    - --catalog-server-name={{ include "rollcall.certificates.serverName" . }}
    {{- end }}
    {{- end }}
    {{- if not $values.catalogs }}
    # The Service's address, of which the pod is told once, changes when the Service is made anew.
    - --catalog-service={{ include "rollcall.namespace" . }}/{{ include "rollcall.controller.fullname" . }}
    {{- end }}
    {{- range .Values.listenAddresses }}
    - --listen={{ . }}:{{ $values.listenPort }}
    {{- end }}
    {{- if $values.tls.secretName }}
    {{- range .Values.listenAddresses }}
    - --tls-listen={{ . }}:{{ $values.tls.port }}
    {{- end }}
    {{- range .Values.listenAddresses }}
    - --https-listen={{ . }}:{{ $values.tls.httpsPort }}
    {{- end }}
    - --tls-cert-file=/etc/rollcall/tls/tls.crt
    - --tls-key-file=/etc/rollcall/tls/tls.key
    {{- end }}
    - --http-listen={{ first .Values.listenAddresses }}:9153
    - --ttl={{ $values.ttl }}
    - --pod-names={{ $values.podNames }}
    {{- range include "rollcall.service.addresses" $values.service | fromYamlArray }}
    - --advertise={{ . }}
    {{- end }}
    {{- range include "rollcall.dns.forward" . | fromYamlArray }}
    - --forward={{ . }}
    {{- end }}
    {{- if ne $values.snapshot "none" }}
    - --snapshot=/var/lib/rollcall-dns/catalog
    {{- end }}
    {{- if include "rollcall.dns.holdSockets" . }}
    - --hold-sockets
    {{- end }}
    {{- include "rollcall.dns.registry" $values.registry | nindent 4 }}
    {{- include "rollcall.dns.external" . | nindent 4 }}
    {{- include "rollcall.dns.clients" $values | nindent 4 }}
    {{- with $values.workers }}
    - --workers={{ . }}
    {{- end }}
    {{- with $values.tcpConnections }}
    - --tcp-connections={{ . }}
    {{- end }}
    {{- with $values.topMetrics }}
    - --top-metrics={{ . }}
    {{- end }}
    {{- with $values.forwardInFlight }}
    - --forward-in-flight={{ . }}
    {{- end }}
    {{- range $domain, $servers := $values.stubDomains }}
    - --stub-domain={{ $domain }}={{ join "," $servers }}
    {{- end }}
    {{- if $values.hostsConfigMap }}
    - --hosts=/etc/rollcall/hosts/hosts
    {{- end }}
    {{- if kindIs "invalid" $values.cache.bytes | not }}
    - --cache-bytes={{ $values.cache.bytes | int64 }}
    {{- end }}
    - --search-completion={{ $values.searchCompletion }}
    - --cache-ttl={{ $values.cache.ttl }}
    - --cache-negative-ttl={{ $values.cache.negativeTTL }}
    - --cache-stale={{ $values.cache.staleSeconds }}
    - --lame-duck={{ $values.lameDuckSeconds }}s
    {{- include "rollcall.pod.args" . | nindent 4 }}
    {{- with $values.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    env:
    {{- include "rollcall.pod.env" . | nindent 4 }}
    # What the zone's name server resolves to, unless the Service has a fixed address.
    - name: ROLLCALL_ADVERTISE
      valueFrom:
        fieldRef:
          fieldPath: {{ gt (len .Values.listenAddresses) 1 | ternary "status.podIPs" "status.podIP" }}
    {{- if $values.vantage }}
    - name: ROLLCALL_VANTAGE_NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    {{- end }}
    {{- with $values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $values.extraEnvFrom }}
    envFrom:
    {{- toYaml . | nindent 4 }}
    {{- end }}
    ports:
    - name: dns
      containerPort: {{ $values.listenPort }}
      protocol: UDP
    - name: dns-tcp
      containerPort: {{ $values.listenPort }}
    {{- if $values.tls.secretName }}
    - name: dns-tls
      containerPort: {{ $values.tls.port }}
    - name: dns-https
      containerPort: {{ $values.tls.httpsPort }}
    {{- end }}
    - name: http
      containerPort: 9153
    startupProbe:
      {{- include "rollcall.pod.probe" (list "/livez" $values.startupProbe) | nindent 6 }}
    livenessProbe:
      {{- include "rollcall.pod.probe" (list "/livez" $values.livenessProbe) | nindent 6 }}
    readinessProbe:
      {{- include "rollcall.pod.probe" (list "/readyz" $values.readinessProbe) | nindent 6 }}
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      {{- toYaml $values.securityContext | nindent 6 }}
    {{- if or $tls (ne $values.snapshot "none") $values.tls.secretName $values.cookieSecretName $values.hostsConfigMap $values.extraVolumeMounts }}
    volumeMounts:
    {{- if $tls }}
    - name: catalog-ca
      mountPath: /etc/rollcall/ca
      readOnly: true
    - name: catalog-token
      mountPath: /var/run/secrets/rollcall.dev
      readOnly: true
    {{- end }}
    {{- if $values.tls.secretName }}
    - name: tls
      mountPath: /etc/rollcall/tls
      readOnly: true
    {{- end }}
    {{- if $values.cookieSecretName }}
    - name: cookies
      mountPath: /etc/rollcall/cookies
      readOnly: true
    {{- end }}
    {{- if $values.hostsConfigMap }}
    - name: hosts
      mountPath: /etc/rollcall/hosts
      readOnly: true
    {{- end }}
    {{- if ne $values.snapshot "none" }}
    - name: snapshot
      mountPath: /var/lib/rollcall-dns
    {{- end }}
    {{- with $values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
  {{- with $values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if or $tls (ne $values.snapshot "none") $values.tls.secretName $values.cookieSecretName $values.hostsConfigMap $values.extraVolumes }}
  volumes:
  {{- if $tls }}
  - {{ include "rollcall.certificates.bundleVolume" . | nindent 4 | trim }}
  # Says to the controller who asks. For its stream alone: the API server does not take it.
  - name: catalog-token
    projected:
      sources:
      - serviceAccountToken:
          audience: rollcall
          expirationSeconds: 3600
          path: token
  {{- end }}
  {{- with $values.tls.secretName }}
  - name: tls
    secret:
      secretName: {{ . }}
  {{- end }}
  {{- with $values.cookieSecretName }}
  - name: cookies
    secret:
      secretName: {{ . }}
      items:
      - key: secret
        path: secret
  {{- end }}
  {{- with $values.hostsConfigMap }}
  - name: hosts
    configMap:
      name: {{ . }}
      items:
      - key: hosts
        path: hosts
  {{- end }}
  {{- if eq $values.snapshot "hostPath" }}
  # Of the pods' user: the kubelet makes none, since root alone could write there.
  - name: snapshot
    hostPath:
      path: {{ $values.snapshotHostPath }}
      type: Directory
  {{- else if eq $values.snapshot "emptyDir" }}
  - name: snapshot
    emptyDir: {}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end }}

{{/* Flags of names by the forms of a registry. */}}
{{- define "rollcall.dns.registry" -}}
- --registry-domain={{ join "," .domains | default "none" }}
- --registry-namespace={{ .namespace }}
{{- with .datacenter }}
- --registry-datacenter={{ . }}
{{- end }}
{{- if .onlyPassing }}
- --registry-only-passing
{{- end }}
{{- end }}

{{/* Flags of names of Services that are reached from outside the cluster. */}}
{{- define "rollcall.dns.external" -}}
{{- with .Values.dns.external }}
{{- if .domains }}
- --external-domain={{ join "," .domains }}
{{- if .headless }}
- --external-headless
{{- end }}
{{- $own := "" }}
{{- if $.Values.dns.service.enabled }}
{{- $own = printf "%s/%s" $.Release.Namespace (include "rollcall.dns.fullname" $) }}
{{- end }}
{{- with .service | default $own }}
- --external-service={{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Flags of how clients are treated. */}}
{{- define "rollcall.dns.clients" -}}
{{- range .allow }}
- --allow={{ . }}
{{- end }}
{{- range .transferTo }}
- --transfer-to={{ . }}
{{- end }}
{{- with .answersPerSecond }}
- --answers-per-second={{ . | int64 }}
{{- end }}
{{- if .cookieSecretName }}
- --cookie-secret-file=/etc/rollcall/cookies/secret
{{- end }}
{{- with .queryLog }}
- --query-log={{ . }}
{{- end }}
{{- with .dnstap }}
- --dnstap={{ . }}
{{- end }}
{{- if .nsid }}
- --nsid=$(POD_NAME)
{{- end }}
{{- end }}

{{/* As given, and what lets a process without privileges take a port below 1024, unless that is given as well. */}}
{{- define "rollcall.dns.podSecurityContext" -}}
{{- $given := .Values.dns.podSecurityContext | default dict }}
{{- $sysctls := $given.sysctls | default list }}
{{- $start := "net.ipv4.ip_unprivileged_port_start" }}
{{- $known := false }}
{{- range $sysctls }}
{{- $known = or $known (eq .name $start) }}
{{- end }}
{{- if and (lt (int .Values.dns.listenPort) 1024) (not $known) }}
{{- $sysctls = append $sysctls (dict "name" $start "value" (toString .Values.dns.listenPort)) }}
{{- end }}
{{- toYaml (empty $sysctls | ternary $given (merge (dict "sysctls" $sysctls) $given)) }}
{{- end }}
