#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/command/command.h"
#include "client/command/interrupts.h"
#include "client/command/request_flags.h"

namespace halftone {
namespace {

struct ChatFlags {
  RequestFlags request;
  std::string system;
  bool quiet = false;
};

constexpr char kHelp[] =
    "/exit ends the chat, /reset forgets it, /mode ID answers in another mode; Ctrl-C stops an answer\n";

class Conversation {
 public:
  Conversation(const ChatFlags& flags, const Globals& globals)
      : flags_(flags), globals_(globals), terminal_(isatty(STDIN_FILENO) != 0), client_(globals.client()) {}

  int run() {
    if (int failed = begin(); failed != 0) return failed;
    std::string line;
    for (prompt(); std::getline(std::cin, line); prompt()) {
      if (line.empty()) continue;
      if (line == "/exit" || line == "/quit") return last_;
      if (line.front() == '/') {
        command(line);
      } else {
        last_ = answer(line);
      }
    }
    if (terminal_) std::cout << std::endl;
    return last_;
  }

 private:
  int begin() {
    interrupts_.set([this] { interrupt(); });
    auto request = flags_.request.request();
    if (!request.ok()) {
      report(request.status(), globals_);
      return kExitUsage;
    }
    request_ = *std::move(request);
    const auto cancellation = interruptible();
    auto info = client_.info(globals_.call(cancellation.get()));
    not_interruptible();
    if (cancellation->cancelled()) return kExitInterrupted;
    if (!info.ok()) return report(info.status(), globals_);
    for (const v1::Mode& mode : info->modes()) modes_.push_back(mode.id());
    reset();
    if (terminal_) {
      std::cout << info->model() << " in " << (request_.mode().empty() ? info->default_mode() : request_.mode()) << ". "
                << kHelp;
    }
    return 0;
  }

  void prompt() {
    if (terminal_) std::cout << "> " << std::flush;
  }

  void reset() {
    request_.clear_chat();
    if (!flags_.system.empty()) say("system", flags_.system);
  }

  void say(const std::string& role, const std::string& content) {
    v1::Message* message = request_.mutable_chat()->add_messages();
    message->set_role(role);
    message->set_content(content);
  }

  void command(const std::string& line) {
    if (line == "/reset") return reset();
    if (line.rfind("/mode ", 0) == 0) return set_mode(line.substr(6));
    std::cout << kHelp << std::flush;
  }

  void set_mode(const std::string& id) {
    std::string known;
    for (const std::string& mode : modes_) {
      if (mode == id) return request_.set_mode(id);
      absl::StrAppend(&known, known.empty() ? "" : ", ", mode);
    }
    std::cout << "the modes are " << known << std::endl;
  }

  // Streams one answer; an interrupted one stays in the chat as far as it came.
  int answer(const std::string& line) {
    say("user", line);
    const auto cancellation = interruptible();
    std::string text;
    v1::GenerateResponse last;
    const auto on_message = [&](const v1::GenerateResponse& message) {
      std::cout << message.text() << std::flush;
      text += message.text();
      last = message;
    };
    const absl::Status status = client_.generate(request_, on_message, globals_.call(cancellation.get()));
    not_interruptible();
    std::cout << std::endl;
    if (!status.ok() && text.empty()) {
      request_.mutable_chat()->mutable_messages()->RemoveLast();
    } else {
      say("assistant", text);
    }
    if (cancellation->cancelled()) return 0;
    if (!status.ok()) return report(status, globals_);
    if (!flags_.quiet) std::cerr << "[" << receipt_line(last.receipt()) << "]" << std::endl;
    return 0;
  }

  // From here on Ctrl-C ends the call that is given this.
  std::shared_ptr<Cancellation> interruptible() {
    std::lock_guard lock(mutex_);
    running_ = std::make_shared<Cancellation>();
    return running_;
  }

  void not_interruptible() {
    std::lock_guard lock(mutex_);
    running_.reset();
  }

  void interrupt() {
    std::lock_guard lock(mutex_);
    if (running_) return running_->cancel();
    std::cout << "\n" << kHelp << std::flush;
    prompt();
  }

  const ChatFlags& flags_;
  const Globals& globals_;
  const bool terminal_;
  std::mutex mutex_;
  std::shared_ptr<Cancellation> running_;  // guarded by mutex_
  Interrupts interrupts_;                  // before the client: its threads must not take SIGINT
  Client client_;
  v1::GenerateRequest request_;
  std::vector<std::string> modes_;
  int last_ = 0;
};

}  // namespace

void add_chat(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "Talk to the model in the terminal");
  command->footer(kHelp);
  command->add_option("--system", flags->system, "The system message; not given: the template's own");
  command->add_flag("--quiet,-q", flags->quiet, "No receipts");
  flags->request.add_common(*command);
  command->callback(
      [flags, &globals, &run] { run = [flags, &globals] { return Conversation(*flags, globals).run(); }; });
}

}  // namespace halftone
