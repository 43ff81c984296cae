# shellcheck shell=bash
# Control groups of the cluster: one for its processes, and below it one a node for the kubelet's pods.
# Touches only folders named fairway-cluster under /sys/fs/cgroup.

# The roots of all hierarchies: one a controller on version 1 of control groups, a single one on version 2.
groups_roots() {
    local root
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        echo /sys/fs/cgroup
        return
    fi
    for root in /sys/fs/cgroup/*/; do
        # cpuacct and the like may be links to a joint mount.
        [[ -L ${root%/} || ! -e ${root}cgroup.procs ]] || echo "${root%/}"
    done
}

# groups_create PATH: below each root. A new cpuset group is empty and takes no process before it is given processors.
groups_create() {
    local root part folder file
    while read -r root; do
        folder=$root
        for part in ${1//\// }; do
            # Version 2: controllers must be handed down level by level.
            [[ ! -e $folder/cgroup.controllers ]] || sed 's/[a-z_]*/+&/g' "$folder/cgroup.controllers" \
                >"$folder/cgroup.subtree_control" 2>/dev/null || true
            mkdir -p "$folder/$part"
            for file in cpuset.cpus cpuset.mems; do
                [[ ! -e $folder/$file || ! -e $folder/cpuset.sched_load_balance ]] || cat "$folder/$file" >"$folder/$part/$file"
            done
            folder=$folder/$part
        done
    done < <(groups_roots)
}

groups_all() { find "/sys/fs/cgroup" -depth -type d -path "*/$CONTROL_GROUP*" 2>/dev/null || true; }

# Numbers of all processes in the cluster's groups.
groups_processes() {
    local group
    while read -r group; do cat "$group/cgroup.procs" 2>/dev/null || true; done < <(groups_all) | sort -un
}

# Removes what is empty below PATH; a group may stay busy for a moment after its last process.
groups_removed() {
    local group left=0
    while read -r group; do rmdir "$group" 2>/dev/null || left=1; done < <(groups_all | grep -E "/$1(/|$)")
    ((left == 0))
}
